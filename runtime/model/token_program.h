#pragma once
// A session's pass of one token as one dispatch, where the model has a program (kernels/row_program.h).

#include "layers/decoder_layer.h"
#include "model/activation_plan.h"
#include "model/decoder_model.h"

#include "kernels/row_program.h"

namespace vulcat::model {

class TokenProgram {
  public:
    /// Precondition: model.rowProgram(). What it names must outlive it. Errors: OutOfMemory.
    TokenProgram(const DecoderModel& model, const ActivationPlan& plan, const KeyValueCache& cache,
                 const vk::BufferView& ropeTable);
    TokenProgram(const TokenProgram&) = delete;
    TokenProgram& operator=(const TokenProgram&) = delete;

    /// Whether it ends with the logits; else with the last layer.
    bool makesLogits() const { return makesLogits_; }

    size_t stepCount() const { return steps_.steps().size(); }

    /// From the row in activations.hidden on. `singly`: a dispatch a step, so that a pass can be cut.
    void record(vk::Recorder& recorder, uint32_t position, bool singly) const;

  private:
    const kernels::RowProgram& program_;
    bool makesLogits_;
    kernels::RowSteps steps_;
    vk::Arena arena_;
    vk::BufferView table_, counters_;
};

}  // namespace vulcat::model

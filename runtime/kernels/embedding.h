#pragma once
// Embedding lookup: y[m] = W[ids[m]]. Reads the same re-laid matrix that the logits' linear reads, so that a model with
// tied embeddings holds it once.

#include "kernels/linear_weights.h"
#include "vk/pipeline_library.h"
#include "vk/recorder.h"

#include <cstdint>

namespace vulcat::kernels {

class Embedding {
  public:
    /// For tables of this shape: format F32, F16 or BF16, K = shape.inputs.
    Embedding(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
              const LinearShape& shape);

    struct Args {
        vk::BufferView ids;  ///< uint32 [rows], each below table.outputs(); a larger id leaves its row unwritten
        const LinearWeights& table;  ///< [vocabulary, K]
        vk::BufferView y;            ///< float [rows][K], written
        uint32_t rows = 0;           ///< M >= 1
    };
    /// One dispatch a panel. Throws Error(InvalidArgument) when the arguments disagree with the plan.
    void record(vk::Recorder& recorder, const Args& args) const;

  private:
    const vk::Device& device_;
    WeightOrder order_;
    const vk::Pipeline& pipeline_;
    LinearShape shape_;
};

}  // namespace vulcat::kernels

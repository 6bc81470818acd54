#pragma once
// One layer of a Llama decoder: norm, attention, residual, norm, MLP, residual.

#include "layers/attention.h"
#include "layers/mlp.h"
#include "layers/norm.h"

#include "kernels/row_program.h"

#include <optional>

namespace vulcat::layers {

class DecoderLayer {
  public:
    DecoderLayer(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
                 const format::ModelConfig& config, int layer);

    void record(vk::Recorder& recorder, const Activations& activations, const LayerCache& cache,
                const vk::BufferView& ropeTable, Span span) const;

    /// What a program needs that can run this layer; nothing where none can.
    std::optional<kernels::RowProgramShape> programShape(const format::ModelConfig& config) const;
    bool fits(const kernels::RowProgramShape& program) const;
    /// As record() for one row, see Site::addSteps(). Precondition: fits().
    void addSteps(kernels::RowSteps& steps, const Activations& activations, const LayerCache& cache,
                  const vk::BufferView& ropeTable) const;

    const Attention& attention() const { return attention_; }
    const Mlp& mlp() const { return mlp_; }

  private:
    uint32_t hiddenSize_;
    Norm attentionNorm_;
    Attention attention_;
    Norm mlpNorm_;
    Mlp mlp_;
};

}  // namespace vulcat::layers

#pragma once
// The first half of a decoder layer after its norm: hidden += W_o attention(rope(W_qkv normed)).

#include "layers/activations.h"
#include "layers/site.h"

#include "kernels/attention.h"
#include "kernels/rope_store.h"

#include <array>

namespace vulcat::layers {

/// A layer's keys and values of one session, [context, Hk D] float32 each.
struct LayerCache {
    vk::BufferView keys;
    vk::BufferView values;
};

class Attention {
  public:
    Attention(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
              const format::ModelConfig& config, int layer);

    /// Whether record() with so many rows reads activations.hidden and norms it itself.
    bool norms(uint32_t rows) const { return qkv_.fuses(rows); }

    /// Reads activations.normed (or see norms()), adds to activations.hidden, files this pass's keys and values in the
    /// cache. ropeTable: kernels::ropeTable() of at least span.position + span.rows positions.
    void record(vk::Recorder& recorder, const Activations& activations, const LayerCache& cache,
                const vk::BufferView& ropeTable, Span span) const;

    /// As record() for one row and its norm, see Site::addSteps().
    void addSteps(kernels::RowSteps& steps, const Activations& activations, const LayerCache& cache,
                  const vk::BufferView& ropeTable) const;

    std::array<const Site*, 2> sites() const { return {&qkv_, &output_}; }

  private:
    uint32_t hiddenSize_;
    kernels::AttentionShape shape_;
    Site qkv_;
    kernels::RopeStore ropeStore_;
    kernels::Attention attention_;
    Site output_;
};

/// The config's heads as the kernels take them.
kernels::AttentionShape attentionShape(const format::ModelConfig& config);

}  // namespace vulcat::layers

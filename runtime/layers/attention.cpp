#include "layers/attention.h"

namespace vulcat::layers {

using format::SiteKind;

kernels::AttentionShape attentionShape(const format::ModelConfig& config) {
    return {static_cast<uint32_t>(config.heads), static_cast<uint32_t>(config.kvHeads),
            static_cast<uint32_t>(config.headDim)};
}

Attention::Attention(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
                     const format::ModelConfig& config, int layer)
    : hiddenSize_(static_cast<uint32_t>(config.hiddenSize)),
      shape_(attentionShape(config)),
      qkv_(engine, sink, store, config, layer, SiteKind::Qkv, siteBefore(store, config, layer, SiteKind::Qkv)),
      ropeStore_(engine.device, engine.pipelines, engine.allowed, shape_),
      attention_(engine.device, engine.pipelines, engine.allowed, shape_),
      output_(engine, sink, store, config, layer, SiteKind::O) {}

void Attention::addSteps(kernels::RowSteps& steps, const Activations& activations, const LayerCache& cache,
                         const vk::BufferView& ropeTable) const {
    qkv_.addSteps(steps, activations.hidden, activations.qkv, false, activations.scratch(SiteKind::Qkv));
    steps.addAttention(cache.keys, cache.values, ropeTable);
    output_.addSteps(steps, activations.mixed, activations.hidden, true, activations.scratch(SiteKind::O));
}

void Attention::record(vk::Recorder& recorder, const Activations& activations, const LayerCache& cache,
                       const vk::BufferView& ropeTable, Span span) const {
    const uint32_t rows = span.rows;
    const vk::BufferView hidden = rowsOf(activations.hidden, rows, hiddenSize_);
    const vk::BufferView normed = rowsOf(activations.normed, rows, hiddenSize_);
    const vk::BufferView qkv = rowsOf(activations.qkv, rows, shape_.qkvWidth());
    const vk::BufferView mixed = rowsOf(activations.mixed, rows, shape_.heads * shape_.headDim);

    qkv_.record(recorder, norms(rows) ? hidden : normed, qkv, rows, false, activations.scratch(SiteKind::Qkv));
    ropeStore_.record(recorder, {qkv, ropeTable, cache.keys, cache.values, rows, span.position});
    // What the MLP will use lies idle here.
    attention_.record(recorder, {qkv, cache.keys, cache.values, mixed, rows, span.position, activations.gateUp});
    output_.record(recorder, mixed, hidden, rows, true, activations.scratch(SiteKind::O));
}

}  // namespace vulcat::layers

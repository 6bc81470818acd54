#include "layers/mlp.h"

namespace vulcat::layers {

using format::SiteKind;

Mlp::Mlp(const Engine& engine, WeightSink& sink, const format::TensorStore& store, const format::ModelConfig& config,
         int layer)
    : hiddenSize_(static_cast<uint32_t>(config.hiddenSize)),
      width_(static_cast<uint32_t>(config.intermediateSize)),
      gateUp_(engine, sink, store, config, layer, SiteKind::GateUp, siteBefore(store, config, layer, SiteKind::GateUp)),
      swiGlu_(engine.device, engine.pipelines, engine.allowed, width_),
      down_(engine, sink, store, config, layer, SiteKind::Down, siteBefore(store, config, layer, SiteKind::Down)) {}

void Mlp::addSteps(kernels::RowSteps& steps, const Activations& activations) const {
    gateUp_.addSteps(steps, activations.hidden, activations.gateUp, false, activations.scratch(SiteKind::GateUp));
    down_.addSteps(steps, activations.gateUp, activations.hidden, true, activations.scratch(SiteKind::Down));
}

void Mlp::record(vk::Recorder& recorder, const Activations& activations, Span span) const {
    const uint32_t rows = span.rows;
    const vk::BufferView hidden = rowsOf(activations.hidden, rows, hiddenSize_);
    const vk::BufferView normed = rowsOf(activations.normed, rows, hiddenSize_);
    const vk::BufferView gateUp = rowsOf(activations.gateUp, rows, 2 * width_);
    const vk::BufferView product = rowsOf(activations.product, rows, width_);

    gateUp_.record(recorder, norms(rows) ? hidden : normed, gateUp, rows, false, activations.scratch(SiteKind::GateUp));
    const bool fused = down_.fuses(rows);
    if (!fused) swiGlu_.record(recorder, {gateUp, product, rows});
    down_.record(recorder, fused ? gateUp : product, hidden, rows, true, activations.scratch(SiteKind::Down));
}

}  // namespace vulcat::layers

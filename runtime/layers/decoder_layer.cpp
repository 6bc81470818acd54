#include "layers/decoder_layer.h"

namespace vulcat::layers {

DecoderLayer::DecoderLayer(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
                           const format::ModelConfig& config, int layer)
    : hiddenSize_(static_cast<uint32_t>(config.hiddenSize)),
      attentionNorm_(engine, sink, store, format::inputNormName(layer), hiddenSize_, config.rmsNormEps),
      attention_(engine, sink, store, config, layer),
      mlpNorm_(engine, sink, store, format::postAttentionNormName(layer), hiddenSize_, config.rmsNormEps),
      mlp_(engine, sink, store, config, layer) {}

std::optional<kernels::RowProgramShape> DecoderLayer::programShape(const format::ModelConfig& config) const {
    const Site &gateUp = *mlp_.sites()[0], &down = *mlp_.sites()[1];
    if (gateUp.row() == nullptr || down.row() == nullptr) return std::nullopt;
    return kernels::RowProgramShape{attentionShape(config), *gateUp.row(), *down.row(), gateUp.linearShape()};
}

bool DecoderLayer::fits(const kernels::RowProgramShape& program) const {
    for (const auto& sites : {attention_.sites(), mlp_.sites()}) {
        for (const Site* site : sites) {
            if (!site->fits(program)) return false;
        }
    }
    return true;
}

void DecoderLayer::addSteps(kernels::RowSteps& steps, const Activations& activations, const LayerCache& cache,
                            const vk::BufferView& ropeTable) const {
    attention_.addSteps(steps, activations, cache, ropeTable);
    mlp_.addSteps(steps, activations);
}

void DecoderLayer::record(vk::Recorder& recorder, const Activations& activations, const LayerCache& cache,
                          const vk::BufferView& ropeTable, Span span) const {
    const vk::BufferView hidden = rowsOf(activations.hidden, span.rows, hiddenSize_);
    const vk::BufferView normed = rowsOf(activations.normed, span.rows, hiddenSize_);
    if (!attention_.norms(span.rows)) attentionNorm_.record(recorder, hidden, normed, span.rows);
    attention_.record(recorder, activations, cache, ropeTable, span);
    if (!mlp_.norms(span.rows)) mlpNorm_.record(recorder, hidden, normed, span.rows);
    mlp_.record(recorder, activations, span);
}

}  // namespace vulcat::layers

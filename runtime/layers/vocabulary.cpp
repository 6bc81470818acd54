#include "layers/vocabulary.h"

#include "layers/linear_source.h"

#include "format/names.h"

#include <string>

namespace vulcat::layers {
namespace {

kernels::LinearWeights load(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
                            const format::ModelConfig& config, std::string_view weightName) {
    constexpr std::string_view kSuffix = ".weight";
    const format::LinearInfo info{std::string(weightName.substr(0, weightName.size() - kSuffix.size())),
                                  static_cast<uint64_t>(config.vocabSize), static_cast<uint64_t>(config.hiddenSize),
                                  false};
    const LinearSource source(store, {&info, 1}, 16, 0);
    return {engine.device, sink.arena, sink.uploader, engine.allowed, source.shape(), source.parts(),
            kernels::floatOrder(engine.device, engine.allowed, source.shape())};
}

}  // namespace

Embedding::Embedding(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
                     const format::ModelConfig& config)
    : table_(load(engine, sink, store, config, format::kEmbeddingName)),
      kernel_(engine.device, engine.pipelines, engine.allowed, table_.shape()) {}

void Embedding::record(vk::Recorder& recorder, const vk::BufferView& ids, const vk::BufferView& y,
                       uint32_t rows) const {
    kernel_.record(recorder, {ids, table_, y, rows});
}

Logits::Logits(const Engine& engine, WeightSink& sink, const format::TensorStore& store,
               const format::ModelConfig& config, const Embedding& embedding)
    : norm_(engine, sink, store, format::kFinalNormName, static_cast<uint32_t>(config.hiddenSize), config.rmsNormEps) {
    if (config.quantisesHead()) {
        site_.emplace(engine, sink, store, config, 0, format::SiteKind::Head,
                      siteBefore(store, config, 0, format::SiteKind::Head));
        size_ = site_->size();
        return;
    }
    if (!config.tieWordEmbeddings) ownWeights_.emplace(load(engine, sink, store, config, format::kHeadName));
    size_ = {(ownWeights_ ? *ownWeights_ : embedding.table()).shape(), static_cast<uint32_t>(config.vocabSize),
             kernels::LinearInput::Floats};
    floatHead_.emplace(engine.device, engine.pipelines, engine.allowed, size_, kMaxRows, engine.tilesOf(size_));
}

void Logits::record(vk::Recorder& recorder, const Embedding& embedding, const vk::BufferView& x,
                    const vk::BufferView& normed, const vk::BufferView& logits, uint32_t rows,
                    const SiteScratch& scratch) const {
    const bool fused = site_ && site_->fuses(rows);
    if (!fused) norm_.record(recorder, x, normed, rows);
    if (site_) {
        site_->record(recorder, fused ? x : normed, logits, rows, false, scratch);
    } else {
        floatHead_->record(recorder, {normed, ownWeights_ ? *ownWeights_ : embedding.table(), logits, rows, false});
    }
}

}  // namespace vulcat::layers

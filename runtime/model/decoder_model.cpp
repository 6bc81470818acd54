#include "model/decoder_model.h"

#include "base/error.h"
#include "format/names.h"
#include "format/safetensors.h"

#include <algorithm>
#include <string>

namespace vulcat::model {
namespace {

uint64_t tensorBytes(const format::TensorStore& store, std::string_view prefix) {
    uint64_t sum = 0;
    for (const format::TensorView& tensor : store.tensors()) {
        if (tensor.name.starts_with(prefix)) sum += tensor.bytes.size();
    }
    return sum;
}

format::ModelConfig readChecked(const std::filesystem::path& folder, const format::TensorStore& store) {
    format::ModelConfig config = format::readModelConfig(folder);
    format::requireModelTensors(config, store);
    return config;
}

}  // namespace

uint64_t modelBlockBytes(const vk::Limits& limits, uint64_t totalBytes) {
    // Large enough that a big model needs few allocations, small enough that a small one wastes little.
    constexpr uint64_t kSmallest = 1u << 20;
    constexpr uint64_t kLargest = 64u << 20;
    return std::min<uint64_t>(std::clamp(totalBytes, kSmallest, kLargest), limits.maxAllocation);
}

/// What lives only while loading: the files and the count of bytes.
struct DecoderModel::Loading {
    format::TensorStore store;
    const LoadProgress& progress;
    uint64_t totalBytes;
    uint64_t doneBytes = 0;

    Loading(const std::filesystem::path& folder, const LoadProgress& report)
        : store(folder), progress(report), totalBytes(tensorBytes(store, "")) {}

    void next(std::string_view what, uint64_t finishedBytes) {
        doneBytes += finishedBytes;
        if (progress && !progress(doneBytes, totalBytes, what)) {
            throw Error(Result::Cancelled, "loading the model was cancelled");
        }
    }
};

DecoderModel::DecoderModel(const layers::Engine& engine, const std::filesystem::path& folder,
                           const LoadProgress& progress)
    : DecoderModel(engine, Loading(folder, progress)) {}

DecoderModel::DecoderModel(const layers::Engine& engine, Loading&& loading)
    : engine_(engine),
      config_(readChecked(loading.store.folder(), loading.store)),
      arena_(engine.device, vk::MemoryIntent::Device, modelBlockBytes(engine.device.limits(), loading.totalBytes)),
      uploader_(std::make_unique<vk::Uploader>(engine.device)),
      embedding_([&] {
          loading.next("embedding", 0);
          layers::WeightSink sink{arena_, *uploader_};
          return layers::Embedding(engine_, sink, loading.store, config_);
      }()),
      layers_(loadLayers(loading)),
      logits_([&] {
          layers::WeightSink sink{arena_, *uploader_};
          return layers::Logits(engine_, sink, loading.store, config_, embedding_);
      }()) {
    planRowProgram();
    uploader_->finish();
    uploader_.reset();
    loading.store.checkUnchanged();
    loading.next("ready", loading.totalBytes - loading.doneBytes);
}

std::vector<layers::DecoderLayer> DecoderModel::loadLayers(Loading& loading) {
    layers::WeightSink sink{arena_, *uploader_};
    uint64_t finished = tensorBytes(loading.store, format::kEmbeddingName);
    std::vector<layers::DecoderLayer> result;
    result.reserve(static_cast<size_t>(config_.layers));
    for (int layer = 0; layer < config_.layers; ++layer) {
        loading.next("layer " + std::to_string(layer + 1) + " of " + std::to_string(config_.layers), finished);
        result.emplace_back(engine_, sink, loading.store, config_, layer);
        finished = tensorBytes(loading.store, format::layerPrefix(layer) + ".");
    }
    loading.next("head", finished);
    return result;
}

void DecoderModel::planRowProgram() {
    if (layers_.empty()) return;
    const std::optional<kernels::RowProgramShape> shape = layers_.front().programShape(config_);
    if (!shape || !kernels::RowProgram::fits(engine_.device, engine_.allowed, *shape)) return;
    for (const layers::DecoderLayer& layer : layers_) {
        if (!layer.fits(*shape)) return;
    }
    rowProgram_.emplace(engine_.device, engine_.pipelines, *shape);
}

std::vector<kernels::LinearSize> DecoderModel::linears() const {
    std::vector<kernels::LinearSize> sizes;
    const auto add = [&](const kernels::LinearSize& size) {
        if (std::find(sizes.begin(), sizes.end(), size) == sizes.end()) sizes.push_back(size);
    };
    for (const layers::DecoderLayer& layer : layers_) {
        for (const layers::Site* site : layer.attention().sites()) add(site->size());
        for (const layers::Site* site : layer.mlp().sites()) add(site->size());
    }
    add(logits_.size());
    return sizes;
}

}  // namespace vulcat::model

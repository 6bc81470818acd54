#include "layers/standalone_linear.h"

#include "layers/upload.h"

#include "base/error.h"

#include <algorithm>
#include <string>

namespace vulcat::layers {
namespace {

constexpr VkDeviceSize kWeightsBlock = 1u << 20;
constexpr VkDeviceSize kScratchBlock = 1u << 16;

uint32_t chooseLinearRows(const Engine& engine, uint32_t asked, uint32_t inputs, uint32_t outputs) {
    const uint64_t widest = uint64_t{std::max(inputs, outputs)} + 4;  // a row of codes has a header of 16 bytes
    const uint64_t bindable = engine.device.limits().maxStorageRange / (widest * sizeof(float));
    const auto most = static_cast<uint32_t>(std::clamp<uint64_t>(bindable, 1, kMaxRows));
    if (asked > most) {
        throw Error(Result::InvalidArgument,
                    "a linear takes at most " + std::to_string(most) + " rows here, not " + std::to_string(asked));
    }
    return asked == 0 ? most : asked;
}

}  // namespace

StandaloneLinear::StandaloneLinear(const Engine& engine, const MemoryLinear& linear, const Options& options)
    : weights_(engine.device, vk::MemoryIntent::Device, kWeightsBlock),
      scratch_(engine.device, vk::MemoryIntent::Device, kScratchBlock) {
    format::Transform none;
    none.width = linear.inputs;
    vk::Uploader uploader(engine.device);
    WeightSink sink{weights_, uploader};
    site_.emplace(engine, sink, none, linear.recipe, linear.source);
    uploader.finish();
    finish(engine, options);
}

StandaloneLinear::StandaloneLinear(const Engine& engine, const format::TensorStore& store, std::string_view name,
                                   const Options& options)
    : weights_(engine.device, vk::MemoryIntent::Device, kWeightsBlock),
      scratch_(engine.device, vk::MemoryIntent::Device, kScratchBlock) {
    const format::ModelConfig config = format::readModelConfig(store.folder());
    format::requireModelTensors(config, store);
    const auto take = [&](int layer, format::SiteKind kind) {
        if (site_ || format::siteName(layer, kind) != name) return;
        vk::Uploader uploader(engine.device);
        WeightSink sink{weights_, uploader};
        site_.emplace(engine, sink, store, config, layer, kind);
        uploader.finish();
        store.checkUnchanged();
    };
    for (int layer = 0; layer < config.layers; ++layer) {
        for (format::SiteKind kind : format::kSites) take(layer, kind);
    }
    if (config.ownsHead()) take(0, format::SiteKind::Head);
    if (!site_) {
        throw Error(Result::InvalidArgument, "the model has no site " + std::string(name) + "; the first is " +
                                                 format::siteName(0, format::SiteKind::Qkv) + " of " +
                                                 std::to_string(config.layers) + " layers");
    }
    finish(engine, options);
}

void StandaloneLinear::finish(const Engine& engine, const Options& options) {
    maxRows_ = chooseLinearRows(engine, options.maxRows, inputs(), outputs());
    const uint64_t rowsBytes = uint64_t{maxRows_} * inputs() * sizeof(float);
    first_ = scratch_.allocate(rowsBytes);
    second_ = scratch_.allocate(rowsBytes);
    if (site_->quantises()) {
        const uint64_t codesBytes = kernels::QuantisedRows::sizeBytes(maxRows_, inputs());
        codes_.emplace(engine.device, engine.allowed, scratch_.allocate(codesBytes), maxRows_, inputs());
        arrivals_ = allocateZeros(engine, scratch_, kernels::SiteTeams::arrivalBytes(inputs(), maxRows_));
    }
    for (uint32_t i = 0; i < std::max(options.recordings, 1u); ++i) {
        recorders_.push_back(std::make_unique<vk::Recorder>(engine.device));
    }
}

void StandaloneLinear::record(VkCommandBuffer commands, const vk::BufferView& x, const vk::BufferView& y, uint32_t rows,
                              bool accumulate) {
    if (rows == 0 || rows > maxRows_) {
        throw Error(Result::InvalidArgument,
                    std::to_string(rows) + " rows for a linear made for 1 to " + std::to_string(maxRows_));
    }
    vk::Recorder& recorder = *recorders_[next_];
    next_ = (next_ + 1) % recorders_.size();
    recorder.begin(commands);
    site_->record(recorder, x, y, rows, accumulate, {first_, second_, codes_ ? &*codes_ : nullptr, arrivals_});
    recorder.end();
}

}  // namespace vulcat::layers

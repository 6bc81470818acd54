#include "model/activation_plan.h"

#include "format/names.h"
#include "layers/upload.h"

#include <algorithm>

namespace vulcat::model {
namespace {

constexpr VkDeviceSize kBlockBytes = 4u << 20;

VkDeviceSize blockBytes(const layers::Engine& engine) {
    return sessionBlockBytes(engine.device.limits());
}

uint64_t widestSite(const format::ModelConfig& config) {
    uint64_t width = 0;
    for (format::SiteKind kind : format::kSites) width = std::max(width, format::siteWidth(config, kind));
    return width;
}

/// Kinds of sites whose activations are quantised in some layer.
std::vector<format::SiteKind> quantisingSites(const format::ModelConfig& config) {
    const auto quantises = [&](int layer, format::SiteKind kind) {
        return config.recipe(format::siteName(layer, kind)).activationBits < 16;
    };
    std::vector<format::SiteKind> kinds;
    for (format::SiteKind kind : format::kSites) {
        bool any = false;
        for (int layer = 0; layer < config.layers && !any; ++layer) any = quantises(layer, kind);
        if (any) kinds.push_back(kind);
    }
    if (quantises(0, format::SiteKind::Head)) kinds.push_back(format::SiteKind::Head);
    return kinds;
}

}  // namespace

uint32_t ActivationPlan::maxRows(const layers::Engine& engine, const format::ModelConfig& config) {
    const uint64_t widest = std::max({uint64_t{layers::attentionShape(config).qkvWidth()}, widestSite(config),
                                      uint64_t{2} * static_cast<uint64_t>(config.intermediateSize)});
    // A row of codes is shorter than one of floats but for its header of 16 bytes.
    const uint64_t rows = engine.device.limits().maxStorageRange / ((widest + 4) * sizeof(float));
    return static_cast<uint32_t>(std::clamp<uint64_t>(rows, 1, layers::kMaxRows));
}

uint32_t ActivationPlan::maxLogitRows(const layers::Engine& engine, const format::ModelConfig& config) {
    constexpr uint64_t kMostBytes = 64u << 20;
    const uint64_t bytes = std::min<uint64_t>(engine.device.limits().maxStorageRange, kMostBytes);
    const uint64_t rows = bytes / (static_cast<uint64_t>(config.vocabSize) * sizeof(float));
    return static_cast<uint32_t>(std::clamp<uint64_t>(rows, 1, layers::kMaxRows));
}

ActivationPlan::ActivationPlan(const layers::Engine& engine, const format::ModelConfig& config, uint32_t rows,
                               uint32_t logitRows)
    : device_(engine.device, vk::MemoryIntent::Device, blockBytes(engine)),
      upload_(engine.device, vk::MemoryIntent::Upload, uint64_t{rows} * sizeof(uint32_t)),
      readback_(engine.device, vk::MemoryIntent::Readback,
                uint64_t{logitRows} * static_cast<uint64_t>(config.vocabSize) * sizeof(float)) {
    const auto hidden = static_cast<uint64_t>(config.hiddenSize);
    const auto vocabulary = static_cast<uint64_t>(config.vocabSize);
    const auto intermediate = static_cast<uint64_t>(config.intermediateSize);
    const kernels::AttentionShape shape = layers::attentionShape(config);

    activations_.hidden = rowsOfWidth(rows, hidden);
    activations_.normed = rowsOfWidth(rows, hidden);
    activations_.qkv = rowsOfWidth(rows, shape.qkvWidth());
    activations_.mixed = rowsOfWidth(rows, uint64_t{shape.heads} * shape.headDim);
    activations_.gateUp = rowsOfWidth(rows, 2 * intermediate);
    activations_.product = rowsOfWidth(rows, intermediate);
    activations_.first = rowsOfWidth(rows, widestSite(config));
    activations_.second = rowsOfWidth(rows, widestSite(config));
    planCodes(engine, config, rows);

    ids_ = upload_.allocate(uint64_t{rows} * sizeof(uint32_t));
    headInput_ = rowsOfWidth(logitRows, hidden);
    headNormed_ = rowsOfWidth(logitRows, hidden);
    logits_ = rowsOfWidth(logitRows, vocabulary);
    logitsHost_ = readback_.allocate(uint64_t{logitRows} * vocabulary * sizeof(float));
}

std::vector<uint64_t> ActivationPlan::deviceSizes(const format::ModelConfig& config, uint32_t rows,
                                                  uint32_t logitRows) {
    const auto hidden = static_cast<uint64_t>(config.hiddenSize);
    const auto intermediate = static_cast<uint64_t>(config.intermediateSize);
    const kernels::AttentionShape shape = layers::attentionShape(config);
    std::vector<uint64_t> sizes;
    for (const uint64_t width : {hidden, hidden, uint64_t{shape.qkvWidth()}, uint64_t{shape.heads} * shape.headDim,
                                 2 * intermediate, intermediate, widestSite(config), widestSite(config)}) {
        sizes.push_back(rows * width * sizeof(float));
    }
    if (!quantisingSites(config).empty()) {
        sizes.push_back(kernels::QuantisedRows::sizeBytes(rows, static_cast<uint32_t>(widestSite(config))));
        sizes.push_back(kernels::SiteTeams::arrivalBytes(widestSite(config), rows));
    }
    for (const uint64_t width : {hidden, hidden, static_cast<uint64_t>(config.vocabSize)}) {
        sizes.push_back(logitRows * width * sizeof(float));
    }
    return sizes;
}

uint64_t ActivationPlan::hostBytes(const format::ModelConfig& config, uint32_t rows, uint32_t logitRows) {
    return rows * sizeof(uint32_t) + uint64_t{logitRows} * static_cast<uint64_t>(config.vocabSize) * sizeof(float);
}

uint64_t sessionBlockBytes(const vk::Limits& limits) {
    return std::min<uint64_t>(kBlockBytes, limits.maxAllocation);
}

vk::BufferView ActivationPlan::rowsOfWidth(uint32_t rows, uint64_t width) {
    return device_.allocate(rows * width * sizeof(float));
}

void ActivationPlan::planCodes(const layers::Engine& engine, const format::ModelConfig& config, uint32_t rows) {
    // Sites run one after the other, so they share the memory; each has its own row length.
    const auto widest = static_cast<uint32_t>(widestSite(config));
    for (format::SiteKind kind : quantisingSites(config)) {
        if (codesMemory_.size == 0) codesMemory_ = device_.allocate(kernels::QuantisedRows::sizeBytes(rows, widest));
        const auto width = static_cast<uint32_t>(format::siteWidth(config, kind));
        auto& codes = codes_[static_cast<size_t>(kind)];
        codes.emplace(engine.device, engine.allowed, codesMemory_.part(0, kernels::QuantisedRows::sizeBytes(rows, width)),
                      rows, width);
        activations_.codes[static_cast<size_t>(kind)] = &*codes;
    }
    if (codesMemory_.size == 0) return;
    activations_.arrivals = layers::allocateZeros(engine, device_, kernels::SiteTeams::arrivalBytes(widest, rows));
}

KeyValueCache::KeyValueCache(const layers::Engine& engine, const format::ModelConfig& config, uint32_t contextLength)
    : arena_(engine.device, vk::MemoryIntent::Device, blockBytes(engine)) {
    const uint64_t bytes = uint64_t{contextLength} * layers::attentionShape(config).cacheWidth() * sizeof(float);
    for (int layer = 0; layer < config.layers; ++layer) {
        const vk::BufferView keys = arena_.allocate(bytes);
        layers_.push_back({keys, arena_.allocate(bytes)});
    }
}

uint64_t KeyValueCache::positionBytes(const format::ModelConfig& config) {
    return 2 * static_cast<uint64_t>(config.layers) * layers::attentionShape(config).cacheWidth() * sizeof(float);
}

uint64_t KeyValueCache::maxContext(const layers::Engine& engine, const format::ModelConfig& config) {
    const vk::Limits& limits = engine.device.limits();
    uint64_t bytes = limits.maxStorageRange;
    constexpr uint64_t kElement = 16;
    if (engine.allowed.contains(vk::Capability::Texel)) bytes = std::min(bytes, kElement * limits.maxTexelElements);
    return bytes / (uint64_t{layers::attentionShape(config).cacheWidth()} * sizeof(float));
}

}  // namespace vulcat::model

#include "model/model_plan.h"

#include "base/checked.h"
#include "base/error.h"
#include "format/names.h"
#include "format/safetensors.h"
#include "kernels/variant.h"
#include "vk/first_fit.h"

#include <algorithm>
#include <string>
#include <vector>

namespace vulcat::model {
namespace {

constexpr uint64_t kUnitBytes = 16;

/// Blocks as vk::Arena would make them.
class PlannedArena {
  public:
    PlannedArena(uint64_t blockBytes, uint64_t alignment) : blockBytes_(blockBytes), alignment_(alignment) {}
    void add(uint64_t sizeBytes) {
        if (sizeBytes == 0) return;
        const uint64_t padded = roundUp(sizeBytes, alignment_);
        const size_t at = vk::firstFit(taken_, padded, [this](size_t block) { return sizes_[block]; });
        if (at == sizes_.size()) {
            sizes_.push_back(std::max(padded, blockBytes_));
            taken_.push_back(0);
            reserved_ += sizes_.back();
        }
        taken_[at] += padded;
    }
    uint64_t reservedBytes() const { return reserved_; }

  private:
    uint64_t blockBytes_;
    uint64_t alignment_;
    uint64_t reserved_ = 0;
    std::vector<uint64_t> sizes_;
    std::vector<uint64_t> taken_;
};

/// The layout of kernels/linear_weights.h in bytes.
void addLinear(PlannedArena& arena, const kernels::LinearShape& shape, uint64_t rows, uint32_t lanes) {
    const uint64_t tiles = divideUp(rows, lanes);
    arena.add(tiles * shape.units() * lanes * kUnitBytes);
    arena.add(divideUp(tiles, 2) * (shape.groups() + 1) * lanes * kUnitBytes);
}

kernels::WeightFormat floatFormat(const format::TensorView& tensor) {
    if (tensor.dtype == format::DType::F16) return kernels::WeightFormat::F16;
    return tensor.dtype == format::DType::BF16 ? kernels::WeightFormat::BF16 : kernels::WeightFormat::F32;
}

void addVocabulary(PlannedArena& arena, const format::TensorStore& store, const format::ModelConfig& config,
                   std::string_view name, uint32_t lanes) {
    const kernels::LinearShape shape{floatFormat(store.at(name)), static_cast<uint32_t>(config.hiddenSize), 0};
    addLinear(arena, shape, static_cast<uint64_t>(config.vocabSize), lanes);
}

void addSite(PlannedArena& arena, const format::TensorStore& store, const format::ModelConfig& config, int layer,
             format::SiteKind kind, uint32_t lanes) {
    const std::string site = format::siteName(layer, kind);
    const format::SiteRecipe recipe = config.recipe(site);
    for (const char* part : {".transform.blocks", ".transform.tail", ".transform.mix"}) {
        if (const format::TensorView* tensor = store.find(site + part)) arena.add(tensor->bytes.size());
    }
    const std::vector<format::LinearInfo> linears = format::siteLinears(config, layer, kind);
    kernels::LinearShape shape;
    shape.inputs = static_cast<uint32_t>(format::siteWidth(config, kind));
    shape.groupSize = static_cast<uint32_t>(recipe.groupSize);
    shape.format = recipe.weightBits == 4 ? kernels::WeightFormat::Int4 : kernels::WeightFormat::Int8;
    uint64_t rows = 0;
    for (const format::LinearInfo& linear : linears) rows += linear.rows;
    if (recipe.weightBits == 16) {
        shape.groupSize = 0;
        shape.format = floatFormat(store.at(linears.front().prefix + ".weight"));
        for (const format::LinearInfo& linear : linears) {
            const bool same = floatFormat(store.at(linear.prefix + ".weight")) == shape.format;
            if (!same) shape.format = kernels::WeightFormat::F32;
        }
    }
    addLinear(arena, shape, rows, lanes);
}

std::string bytesText(uint64_t bytes) {
    return std::to_string(bytes) + " bytes";
}

}  // namespace

ModelPlan planSession(const layers::Engine& engine, const format::ModelConfig& config, const SessionOptions& options) {
    const vk::Limits& limits = engine.device.limits();
    ModelPlan plan;
    plan.shape = sessionShape(engine, config, options);
    const auto [context, rows, logitRows] = plan.shape;
    PlannedArena cache(sessionBlockBytes(limits), limits.storageAlignment);
    const uint64_t layers = static_cast<uint64_t>(config.layers);
    const uint64_t half = context * KeyValueCache::positionBytes(config) / (2 * layers);
    for (uint64_t i = 0; i < 2 * layers; ++i) cache.add(half);
    plan.cacheBytes = cache.reservedBytes();
    PlannedArena activations(sessionBlockBytes(limits), limits.storageAlignment);
    for (uint64_t bytes : ActivationPlan::deviceSizes(config, rows, logitRows)) activations.add(bytes);
    // The table of rotations has an arena of its own: a cosine and a sine for each pair of a head.
    const uint64_t table = uint64_t{context} * static_cast<uint64_t>(config.headDim) * sizeof(float);
    plan.activationsBytes = activations.reservedBytes() + std::max<uint64_t>(table, 4096);
    plan.hostBytes = ActivationPlan::hostBytes(config, rows, logitRows);
    plan.availableBytes = engine.device.availableBytes();
    return plan;
}

ModelPlan planModel(const layers::Engine& engine, const std::filesystem::path& folder, const SessionOptions& options) {
    const format::TensorStore store(folder);
    const format::ModelConfig config = format::readModelConfig(folder);
    format::requireModelTensors(config, store);
    const vk::Limits& limits = engine.device.limits();
    const uint32_t lanes = kernels::weightLanes(engine.device);
    uint64_t fileBytes = 0;
    for (const format::TensorView& tensor : store.tensors()) fileBytes += tensor.bytes.size();

    ModelPlan plan = planSession(engine, config, options);
    PlannedArena arena(modelBlockBytes(limits, fileBytes), limits.storageAlignment);
    PlannedArena vocabulary(limits.storageAlignment, limits.storageAlignment);
    const auto addVocabularyTo = [&](PlannedArena& to, std::string_view name) {
        addVocabulary(to, store, config, name, lanes);
    };
    for (PlannedArena* to : {&arena, &vocabulary}) addVocabularyTo(*to, format::kEmbeddingName);
    const uint64_t normBytes = static_cast<uint64_t>(config.hiddenSize) * sizeof(float);
    for (int layer = 0; layer < config.layers; ++layer) {
        arena.add(normBytes);
        addSite(arena, store, config, layer, format::SiteKind::Qkv, lanes);
        addSite(arena, store, config, layer, format::SiteKind::O, lanes);
        arena.add(normBytes);
        addSite(arena, store, config, layer, format::SiteKind::GateUp, lanes);
        addSite(arena, store, config, layer, format::SiteKind::Down, lanes);
    }
    arena.add(normBytes);
    for (PlannedArena* to : {&arena, &vocabulary}) {
        if (config.quantisesHead()) {
            addSite(*to, store, config, 0, format::SiteKind::Head, lanes);
        } else if (!config.tieWordEmbeddings) {
            addVocabularyTo(*to, format::kHeadName);
        }
    }
    plan.vocabularyBytes = vocabulary.reservedBytes();
    plan.weightsBytes = arena.reservedBytes() - std::min(arena.reservedBytes(), plan.vocabularyBytes);
    constexpr uint64_t kStagingBytes = 16u << 20;  // the ring of vk::Uploader
    if (!engine.device.mapsDeviceMemory()) plan.hostBytes += kStagingBytes;
    return plan;
}

void requireMemory(const ModelPlan& plan, uint64_t neededBytes, const char* what) {
    if (neededBytes <= plan.availableBytes) return;
    throw Error(Result::OutOfMemory,
                std::string(what) + " needs " + bytesText(neededBytes) + " of device memory (weights " +
                    std::to_string(plan.weightsBytes) + ", vocabulary " + std::to_string(plan.vocabularyBytes) +
                    ", key-value cache of " + std::to_string(plan.shape.contextLength) + " positions " +
                    std::to_string(plan.cacheBytes) + ", activations of " + std::to_string(plan.shape.chunkRows) +
                    " rows " + std::to_string(plan.activationsBytes) + "), " + bytesText(plan.availableBytes) +
                    " are available: raise the budget, or ask for a shorter context or fewer rows");
}

}  // namespace vulcat::model

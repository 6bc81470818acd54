#include "format/names.h"

#include "base/error.h"
#include "base/path_text.h"
#include "format/packing.h"
#include "format/safetensors.h"
#include "format/transform.h"

namespace vulcat::format {

namespace {

constexpr std::array<std::string_view, kSiteKinds> kSuffixes = {"self_attn.qkv", "self_attn.o", "mlp.gate_up",
                                                                "mlp.down", kHeadSite};

std::string joined(std::string_view a, std::string_view b) {
    return std::string(a) + std::string(b);
}

uint64_t unsignedOf(int value) {
    return static_cast<uint64_t>(value);
}

// The tensor with this shape; the message also names what in config.json asks for it.
const TensorView& require(const TensorStore& store, const std::string& name, std::initializer_list<uint64_t> shape,
                          const char* field) {
    const TensorView& tensor = store.at(name);
    try {
        requireShape(tensor, shape);
    } catch (const Error& error) {
        throw Error(error.code(), pathText(store.folder()) + ": " + error.what() + "; config.json's " + field +
                                      " disagrees with the file");
    }
    return tensor;
}

void requireFloat(const TensorStore& store, const std::string& name, std::initializer_list<uint64_t> shape,
                  const char* field) {
    const TensorView& tensor = require(store, name, shape, field);
    if (tensor.dtype == DType::F32 || tensor.dtype == DType::F16 || tensor.dtype == DType::BF16) return;
    throw Error(Result::InvalidFile, pathText(store.folder()) + ": tensor " + name + " has dtype " +
                                         std::string(dtypeName(tensor.dtype)) + " where F32, F16 or BF16 is needed");
}

void requireLinear(const TensorStore& store, const LinearInfo& linear, const SiteRecipe& recipe, const char* field) {
    const std::string bias = linear.prefix + ".bias";
    if (linear.bias) {
        requireFloat(store, bias, {linear.rows}, field);
    } else if (store.find(bias) != nullptr) {
        throw Error(Result::InvalidFile, pathText(store.folder()) + ": there is a tensor " + bias +
                                             " although config.json's attention_bias or mlp_bias says there is none, "
                                             "and an output layer has none");
    }
    if (recipe.weightBits == 16) {
        requireFloat(store, linear.prefix + ".weight", {linear.rows, linear.columns}, field);
        return;
    }
    const uint64_t groups = groupCount(linear.columns, unsignedOf(recipe.groupSize));
    if (recipe.coded) {
        const TensorView& coded = store.at(linear.prefix + ".coded");
        requireDType(coded, DType::U8);
        requireShape(coded, {coded.bytes.size()});
        requireFloat(store, linear.prefix + ".scales", {linear.rows, 1}, field);
        return;
    }
    const std::string codes = linear.prefix + ".codes";
    requireDType(require(store, codes, {linear.rows, packedRowBytes(linear.columns, recipe.weightBits)}, field),
                 DType::U8);
    requireFloat(store, linear.prefix + ".scales", {linear.rows, groups}, field);
    requireDType(require(store, linear.prefix + ".code_sums", {linear.rows, groups}, field), DType::I32);
}

}  // namespace

std::string layerPrefix(int layer) {
    return "model.layers." + std::to_string(layer);
}

std::string inputNormName(int layer) {
    return layerPrefix(layer) + ".input_layernorm.weight";
}

std::string postAttentionNormName(int layer) {
    return layerPrefix(layer) + ".post_attention_layernorm.weight";
}

std::string_view siteSuffix(SiteKind kind) {
    return kSuffixes[static_cast<size_t>(kind)];
}

std::string siteName(int layer, SiteKind kind) {
    if (kind == SiteKind::Head) return std::string(kHeadSite);
    return joined(layerPrefix(layer) + ".", siteSuffix(kind));
}

std::span<const SiteKind> sitesOf(const ModelConfig& config, int layer) {
    return layer < config.layers ? std::span<const SiteKind>(kSites) : std::span<const SiteKind>(kHeadSites);
}

uint64_t siteWidth(const ModelConfig& config, SiteKind kind) {
    switch (kind) {
        case SiteKind::O:
            return unsignedOf(config.heads) * unsignedOf(config.headDim);
        case SiteKind::Down:
            return unsignedOf(config.intermediateSize);
        default:
            return unsignedOf(config.hiddenSize);
    }
}

std::vector<LinearInfo> siteLinears(const ModelConfig& config, int layer, SiteKind kind) {
    const std::string attention = layerPrefix(layer) + ".self_attn.";
    const std::string mlp = layerPrefix(layer) + ".mlp.";
    const uint64_t width = siteWidth(config, kind);
    const uint64_t hidden = unsignedOf(config.hiddenSize);
    const uint64_t inner = unsignedOf(config.intermediateSize);
    const uint64_t query = unsignedOf(config.heads) * unsignedOf(config.headDim);
    const uint64_t keyValue = unsignedOf(config.kvHeads) * unsignedOf(config.headDim);
    switch (kind) {
        case SiteKind::Qkv:
            return {{attention + "q_proj", query, width, config.attentionBias},
                    {attention + "k_proj", keyValue, width, config.attentionBias},
                    {attention + "v_proj", keyValue, width, config.attentionBias}};
        case SiteKind::O:
            return {{attention + "o_proj", hidden, width, config.attentionBias}};
        case SiteKind::GateUp:
            return {{mlp + "gate_proj", inner, width, config.mlpBias}, {mlp + "up_proj", inner, width, config.mlpBias}};
        case SiteKind::Down:
            return {{mlp + "down_proj", hidden, width, config.mlpBias}};
        case SiteKind::Head:
            return {{std::string(kHeadSite), unsignedOf(config.vocabSize), width, false}};
    }
    return {};
}

void requireModelTensors(const ModelConfig& config, const TensorStore& store) {
    const uint64_t hidden = unsignedOf(config.hiddenSize);
    constexpr const char* kEnds = "vocab_size or hidden_size";
    requireFloat(store, std::string(kEmbeddingName), {unsignedOf(config.vocabSize), hidden}, kEnds);
    requireFloat(store, std::string(kFinalNormName), {hidden}, "hidden_size");
    if (config.ownsHead()) {
        const SiteRecipe head = config.recipe(std::string(kHeadSite));
        requireTransformTensors(store, kHeadSite, head, hidden);
        for (const LinearInfo& linear : siteLinears(config, 0, SiteKind::Head)) {
            requireLinear(store, linear, head, kEnds);
        }
    }
    if (store.find(layerPrefix(config.layers) + ".input_layernorm.weight") != nullptr) {
        throw Error(Result::InvalidFile, pathText(store.folder()) + ": the file holds more layers than the " +
                                             std::to_string(config.layers) + " of config.json's num_hidden_layers");
    }
    for (int layer = 0; layer < config.layers; ++layer) {
        requireFloat(store, inputNormName(layer), {hidden}, "hidden_size");
        requireFloat(store, postAttentionNormName(layer), {hidden}, "hidden_size");
        for (const SiteKind kind : kSites) {
            const bool attention = kind == SiteKind::Qkv || kind == SiteKind::O;
            const char* field = attention ? "hidden_size, num_attention_heads, num_key_value_heads or head_dim"
                                          : "hidden_size or intermediate_size";
            const SiteRecipe recipe = config.recipe(siteName(layer, kind));
            requireTransformTensors(store, siteName(layer, kind), recipe, siteWidth(config, kind));
            for (const LinearInfo& linear : siteLinears(config, layer, kind)) {
                requireLinear(store, linear, recipe, field);
            }
        }
    }
}

}  // namespace vulcat::format

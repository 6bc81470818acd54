#pragma once
// Names and shapes of a Llama model's tensors, in one place. A *site* is an input that linears share: it carries one
// transform and one activation quantiser.

#include "format/model_config.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::format {

class TensorStore;

/// Head is the output layer's, which no decoder layer owns: where its kind is given, the number of a layer means nothing.
enum class SiteKind : uint8_t { Qkv, O, GateUp, Down, Head };
inline constexpr std::array<SiteKind, 4> kSites = {SiteKind::Qkv, SiteKind::O, SiteKind::GateUp, SiteKind::Down};
inline constexpr std::array<SiteKind, 1> kHeadSites = {SiteKind::Head};
inline constexpr size_t kSiteKinds = kSites.size() + kHeadSites.size();

inline constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";
inline constexpr std::string_view kFinalNormName = "model.norm.weight";
inline constexpr std::string_view kHeadName = "lm_head.weight";
inline constexpr std::string_view kHeadSite = "lm_head";

/// "model.layers.<layer>"
std::string layerPrefix(int layer);
/// "model.layers.<layer>.input_layernorm.weight", the norm before attention.
std::string inputNormName(int layer);
/// "model.layers.<layer>.post_attention_layernorm.weight", the norm before the MLP.
std::string postAttentionNormName(int layer);
/// "model.layers.<layer>.self_attn.qkv", ".self_attn.o", ".mlp.gate_up" or ".mlp.down"; "lm_head" of the head.
std::string siteName(int layer, SiteKind kind);
/// "self_attn.qkv", ...: the site without its layer; "lm_head".
std::string_view siteSuffix(SiteKind kind);

/// A linear y = W x + b: its tensors are `<prefix>.weight` (or .codes, .scales, .code_sums) and, if bias,
/// `<prefix>.bias`.
struct LinearInfo {
    std::string prefix;    ///< e.g. "model.layers.3.self_attn.q_proj"
    uint64_t rows = 0;     ///< N
    uint64_t columns = 0;  ///< K, the same for all linears of a site
    bool bias = false;
};

/// The kinds of sites of a layer, or of the output layer, which counts as one more.
std::span<const SiteKind> sitesOf(const ModelConfig& config, int layer);
/// K of the site.
uint64_t siteWidth(const ModelConfig& config, SiteKind kind);
/// The linears that share the site's input, in the order in which the runtime stacks them (q, k, v; o; gate, up; down;
/// the head). A tied head's float weights are the embedding's, so its tensors are there only where it is quantised.
std::vector<LinearInfo> siteLinears(const ModelConfig& config, int layer, SiteKind kind);

/// Checks that the store holds every tensor the config promises, with its shape and a dtype that vulcat reads: floats
/// F32, F16 or BF16; quantised linears as their recipe says, with their transforms. Reads no tensor data.
/// Errors: InvalidFile naming the tensor and the config field that disagrees with it.
void requireModelTensors(const ModelConfig& config, const TensorStore& store);

}  // namespace vulcat::format

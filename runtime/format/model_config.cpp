#include "format/model_config.h"

#include "base/error.h"
#include "base/path_text.h"
#include "format/json_fields.h"
#include "format/json_tree.h"
#include "format/mapped_file.h"
#include "format/names.h"
#include "format/quantization_config.h"

#include <algorithm>
#include <cmath>

namespace vulcat::format {

namespace {

constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxCount = 1 << 24;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 4096;

[[noreturn]] void unsupported(const JsonFields& fields, const std::string& what) {
    throw Error(Result::Unsupported, fields.where() + ": " + what.substr(0, 200));
}

void requireLlama(const JsonFields& fields) {
    const std::string type = fields.text("model_type", "llama");
    if (type != "llama") unsupported(fields, "model_type \"" + type + "\" is not run by vulcat, only \"llama\"");
    const std::string activation = fields.text("hidden_act", "silu");
    if (activation != "silu") unsupported(fields, "hidden_act \"" + activation + "\" is not run, only \"silu\"");
    if (fields.number("partial_rotary_factor", -1e9, 1e9, 1.0) != 1.0) {
        unsupported(fields, "partial_rotary_factor other than 1 is not run");
    }
}

// Older files call the field "type", newer ones "rope_type"; newer ones may hold rope_theta in the same object.
void readRopeObject(const JsonFields& rope, ModelConfig& config) {
    const std::string type = rope.text("rope_type", rope.text("type", "default"));
    if (type == "default") return;
    if (type != "llama3") unsupported(rope, "rope type \"" + type + "\" is not run, only \"default\" and \"llama3\"");
    RopeScaling scaling;
    scaling.factor = rope.number("factor", 1, 1e6);
    scaling.lowFreqFactor = rope.number("low_freq_factor", 1e-6, 1e6);
    scaling.highFreqFactor = rope.number("high_freq_factor", 1e-6, 1e6);
    if (scaling.highFreqFactor <= scaling.lowFreqFactor) {
        rope.fail("high_freq_factor", "must be greater than low_freq_factor");
    }
    scaling.originalMaxPosition = static_cast<int>(rope.integer("original_max_position_embeddings", 1, kMaxCount));
    if (config.ropeScaling &&
        (config.ropeScaling->factor != scaling.factor || config.ropeScaling->lowFreqFactor != scaling.lowFreqFactor ||
         config.ropeScaling->highFreqFactor != scaling.highFreqFactor ||
         config.ropeScaling->originalMaxPosition != scaling.originalMaxPosition)) {
        rope.fail("factor", "or a value beside it disagrees between rope_scaling and rope_parameters");
    }
    config.ropeScaling = scaling;
}

void readRope(const JsonFields& fields, ModelConfig& config) {
    constexpr double kLeast = 1;
    constexpr double kMost = 1e12;
    config.ropeTheta = fields.number("rope_theta", kLeast, kMost, 10000);
    for (const char* name : {"rope_scaling", "rope_parameters"}) {
        if (fields.find(name) == nullptr) continue;
        const JsonFields rope = fields.object(name);
        readRopeObject(rope, config);
        const double theta = rope.number("rope_theta", kLeast, kMost, config.ropeTheta);
        if (fields.find("rope_theta") != nullptr && theta != config.ropeTheta) {
            rope.fail("rope_theta", "disagrees with rope_theta at the top level");
        }
        config.ropeTheta = theta;
    }
}

void readShape(const JsonFields& fields, ModelConfig& config) {
    const auto size = [&](const char* name, int64_t most) { return static_cast<int>(fields.integer(name, 1, most)); };
    config.hiddenSize = size("hidden_size", kMaxWidth);
    config.intermediateSize = size("intermediate_size", kMaxWidth);
    config.layers = size("num_hidden_layers", kMaxLayers);
    config.heads = size("num_attention_heads", kMaxHeads);
    config.kvHeads = static_cast<int>(fields.integer("num_key_value_heads", 1, kMaxHeads, config.heads));
    config.vocabSize = size("vocab_size", kMaxCount);
    config.maxPositions = static_cast<int>(fields.integer("max_position_embeddings", 1, kMaxCount, 2048));
    if (config.heads % config.kvHeads != 0) {
        fields.fail("num_key_value_heads", "must divide num_attention_heads");
    }
    if (fields.find("head_dim") != nullptr) {
        config.headDim = size("head_dim", 65'536);
    } else if (config.hiddenSize % config.heads != 0) {
        fields.fail("hidden_size", "is not a multiple of num_attention_heads, and there is no head_dim");
    } else {
        config.headDim = config.hiddenSize / config.heads;
    }
    if (config.headDim % 2 != 0) fields.fail("head_dim", "must be even for rotary positions");
    if (static_cast<int64_t>(config.heads) * config.headDim > kMaxWidth) {
        fields.fail("num_attention_heads", "times head_dim exceeds 1048576");
    }
}

void addId(const JsonFields& fields, const char* name, const nlohmann::json& value, std::vector<int32_t>& ids) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= static_cast<uint64_t>(kMaxCount)) {
        fields.fail(name, "must be a token id or a list of token ids");
    }
    const auto id = static_cast<int32_t>(value.get<uint64_t>());
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

// bos_token_id and eos_token_id are an id, a list of ids, or null.
std::vector<int32_t> readIds(const JsonFields& fields, const char* name) {
    std::vector<int32_t> ids;
    const nlohmann::json* value = fields.find(name);
    if (value == nullptr) return ids;
    if (!value->is_array()) {
        addId(fields, name, *value, ids);
        return ids;
    }
    if (value->size() > 256) fields.fail(name, "lists more than 256 ids");
    for (const nlohmann::json& id : *value) addId(fields, name, id, ids);
    return ids;
}

void readTokens(const JsonFields& fields, ModelConfig& config) {
    const std::vector<int32_t> bos = readIds(fields, "bos_token_id");
    if (!config.bosTokenId && !bos.empty()) config.bosTokenId = bos.front();
    for (const int32_t id : readIds(fields, "eos_token_id")) {
        if (std::find(config.eosTokenIds.begin(), config.eosTokenIds.end(), id) == config.eosTokenIds.end()) {
            config.eosTokenIds.push_back(id);
        }
    }
}

}  // namespace

SiteRecipe ModelConfig::recipe(const std::string& site) const {
    if (!quantization) return {};
    const auto found = quantization->sites.find(site);
    return found == quantization->sites.end() ? SiteRecipe{} : found->second;
}

bool ModelConfig::quantisesHead() const {
    return recipe(std::string(kHeadSite)).weightBits != 16;
}

ModelConfig parseModelConfig(const std::string& configJson, const std::string& generationJson,
                             const std::string& where) {
    const nlohmann::json root = parseJson(configJson, where);
    const JsonFields fields(root, where);
    requireLlama(fields);
    ModelConfig config;
    readShape(fields, config);
    readRope(fields, config);
    config.rmsNormEps = static_cast<float>(fields.number("rms_norm_eps", 1e-12, 1.0, 1e-6));
    config.tieWordEmbeddings = fields.boolean("tie_word_embeddings", false);
    config.attentionBias = fields.boolean("attention_bias", false);
    config.mlpBias = fields.boolean("mlp_bias", false);
    readTokens(fields, config);
    if (!generationJson.empty()) {
        const std::string name = "generation_config.json beside " + where;
        const nlohmann::json generation = parseJson(generationJson, name);
        readTokens(JsonFields(generation, name), config);
    }
    if (fields.find("quantization_config") != nullptr) {
        config.quantization =
            parseQuantization(fields.object("quantization_config"), fields.at("quantization_config"), config.layers);
    }
    return config;
}

ModelConfig readModelConfig(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / "config.json";
    const std::filesystem::path generation = folder / "generation_config.json";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        throw Error(Result::InvalidFile, pathText(path) + " does not exist; is " + pathText(folder) + " a model folder?");
    }
    const bool hasGeneration = std::filesystem::exists(generation, ignored);
    return parseModelConfig(readTextFile(path, kMaxConfigBytes),
                            hasGeneration ? readTextFile(generation, kMaxConfigBytes) : std::string(), pathText(path));
}

}  // namespace vulcat::format

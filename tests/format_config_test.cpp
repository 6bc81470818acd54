#include "format/model_config.h"
#include "format/names.h"

#include "base/error.h"
#include "support/shared_data.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>

using namespace vulcat;
using namespace vulcat::format;
using Json = nlohmann::json;

namespace {

Json smallConfig() {
    return Json::parse(R"({"model_type":"llama","hidden_size":64,"intermediate_size":172,"num_hidden_layers":5,
        "num_attention_heads":8,"num_key_value_heads":4,"vocab_size":512,"max_position_embeddings":512,
        "rms_norm_eps":1e-5,"tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":2})");
}

ModelConfig parse(const Json& json, const std::string& generation = "") {
    return parseModelConfig(json.dump(), generation, "config.json");
}

// The failure's code; Ok when the config is accepted. The message must name `word`.
Result resultOf(const Json& json, const std::string& word = "") {
    try {
        parse(json);
    } catch (const Error& error) {
        CHECK_MESSAGE(std::string(error.what()).find(word) != std::string::npos, error.what());
        return error.code();
    }
    return Result::Ok;
}

Json with(const std::string& key, const Json& value) {
    Json json = smallConfig();
    json[key] = value;
    return json;
}

Json without(const std::string& key) {
    Json json = smallConfig();
    json.erase(key);
    return json;
}

const Json kLlama3 = {{"factor", 32.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 8192},
                      {"rope_type", "llama3"}};

}  // namespace

TEST_CASE("stories260K's config") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    const ModelConfig config = readModelConfig(folder);
    CHECK(config.hiddenSize == 64);
    CHECK(config.intermediateSize == 172);
    CHECK(config.layers == 5);
    CHECK(config.heads == 8);
    CHECK(config.kvHeads == 4);
    CHECK(config.headDim == 8);
    CHECK(config.vocabSize == 512);
    CHECK(config.maxPositions == 512);
    CHECK(config.rmsNormEps == 1e-5f);
    CHECK(config.ropeTheta == 10000);
    CHECK_FALSE(config.ropeScaling);
    CHECK(config.tieWordEmbeddings);
    CHECK(config.bosTokenId == 1);
    CHECK(config.eosTokenIds == std::vector<int32_t>{2});
    CHECK_FALSE(config.quantization);
}

TEST_CASE("defaults: as many key heads as heads, untied, theta 10000, head_dim from the width") {
    Json json = without("num_key_value_heads");
    json.erase("tie_word_embeddings");
    const ModelConfig config = parse(json);
    CHECK(config.kvHeads == 8);
    CHECK_FALSE(config.tieWordEmbeddings);
    CHECK(config.ropeTheta == 10000);
    CHECK(parse(with("head_dim", 16)).headDim == 16);
    CHECK(parse(with("head_dim", nullptr)).headDim == 8);
}

TEST_CASE("rope_theta at the top, in rope_parameters, in both, and in disagreement") {
    CHECK(parse(with("rope_theta", 500000.0)).ropeTheta == 500000);
    CHECK(parse(with("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}})).ropeTheta == 5e5);
    Json both = with("rope_theta", 5e5);
    both["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
    CHECK(parse(both).ropeTheta == 5e5);
    both["rope_parameters"]["rope_theta"] = 1e4;
    CHECK(resultOf(both, "rope_theta") == Result::InvalidFile);
}

TEST_CASE("llama3 scaling under either name, and other rope types refused by name") {
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
        const ModelConfig config = parse(with(key, kLlama3));
        REQUIRE(config.ropeScaling);
        CHECK(config.ropeScaling->factor == 32);
        CHECK(config.ropeScaling->lowFreqFactor == 1);
        CHECK(config.ropeScaling->highFreqFactor == 4);
        CHECK(config.ropeScaling->originalMaxPosition == 8192);
    }
    Json disagreeing = with("rope_scaling", kLlama3);
    disagreeing["rope_parameters"] = kLlama3;
    CHECK(resultOf(disagreeing) == Result::Ok);
    disagreeing["rope_parameters"]["factor"] = 8.0;
    CHECK(resultOf(disagreeing, "factor") == Result::InvalidFile);
    CHECK(resultOf(with("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}), "linear") == Result::Unsupported);
    CHECK(resultOf(with("rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}}), "yarn") == Result::Unsupported);
    Json incomplete = kLlama3;
    incomplete.erase("high_freq_factor");
    CHECK(resultOf(with("rope_scaling", incomplete), "high_freq_factor") == Result::InvalidFile);
    incomplete["high_freq_factor"] = 1.0;
    CHECK(resultOf(with("rope_scaling", incomplete), "high_freq_factor") == Result::InvalidFile);
}

TEST_CASE("end tokens of both files, lists and single ids, without duplicates") {
    const Json json = with("eos_token_id", {128001, 128008});
    CHECK(parse(json, R"({"eos_token_id":[128001,128009],"bos_token_id":5})").eosTokenIds ==
          std::vector<int32_t>{128001, 128008, 128009});
    CHECK(parse(json, R"({"bos_token_id":5})").bosTokenId == 1);
    CHECK(parse(without("bos_token_id"), R"({"bos_token_id":5})").bosTokenId == 5);
    CHECK(parse(with("eos_token_id", nullptr)).eosTokenIds.empty());
    CHECK(resultOf(with("eos_token_id", -1), "eos_token_id") == Result::InvalidFile);
    CHECK(resultOf(with("eos_token_id", "2"), "eos_token_id") == Result::InvalidFile);
}

TEST_CASE("every size replaced by nonsense is refused by name") {
    for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                            "num_key_value_heads", "vocab_size", "max_position_embeddings", "head_dim"}) {
        for (const Json& value :
             {Json(0), Json(-1), Json(2147483647), Json(2147483648u), Json(4294967296u), Json(~0ull), Json(1e30),
              Json(1.5), Json("64"), Json(true), Json::array(), Json::object()}) {
            CAPTURE(value);
            CHECK(resultOf(with(key, value), key) == Result::InvalidFile);
        }
    }
    for (const char* key :
         {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"}) {
        CHECK(resultOf(without(key), key) == Result::InvalidFile);
    }
    CHECK(resultOf(with("num_key_value_heads", 3), "num_key_value_heads") == Result::InvalidFile);
    CHECK(resultOf(with("hidden_size", 68), "hidden_size") == Result::InvalidFile);
    CHECK(resultOf(with("head_dim", 7), "head_dim") == Result::InvalidFile);
    CHECK(resultOf(with("rms_norm_eps", -1e-5), "rms_norm_eps") == Result::InvalidFile);
    CHECK(resultOf(with("rope_theta", 0), "rope_theta") == Result::InvalidFile);
    CHECK(resultOf(with("tie_word_embeddings", 1), "tie_word_embeddings") == Result::InvalidFile);
}

TEST_CASE("what vulcat does not run is said to be unsupported") {
    CHECK(resultOf(with("model_type", "qwen2"), "qwen2") == Result::Unsupported);
    CHECK(resultOf(with("hidden_act", "gelu"), "gelu") == Result::Unsupported);
    CHECK(resultOf(with("quantization_config", {{"quant_method", "gptq"}}), "gptq") == Result::Unsupported);
    CHECK(resultOf(with("partial_rotary_factor", 0.5), "partial_rotary_factor") == Result::Unsupported);
}

TEST_CASE("the quantisation recipe: sites read, others float, nonsense refused by name") {
    const std::string site = siteName(1, SiteKind::Down);
    Json recipe = {{"quant_method", "vulcat"},
                   {"format_version", 1},
                   {"sites",
                    {{site,
                      {{"weight_bits", 4},
                       {"group_size", 64},
                       {"activation_bits", 4},
                       {"activation_symmetric", false},
                       {"block", 64},
                       {"mix_order", 172},
                       {"mix_stride", 1}}}}}};
    const ModelConfig config = parse(with("quantization_config", recipe));
    CHECK(config.recipe(site).weightBits == 4);
    CHECK(config.recipe(site).groupSize == 64);
    CHECK(config.recipe(site).mixOrder == 172);
    CHECK(config.recipe(siteName(1, SiteKind::O)).weightBits == 16);
    CHECK(Json::parse(config.quantization->recipeJson) == recipe);
    const auto refused = [&](const char* field, const Json& value) {
        Json changed = recipe;
        changed["sites"][site][field] = value;
        return resultOf(with("quantization_config", changed), field) == Result::InvalidFile;
    };
    for (const Json& bits : {Json(0), Json(3), Json(5), Json(32), Json("4"), Json(-4)}) {
        CHECK(refused("weight_bits", bits));
        CHECK(refused("activation_bits", bits));
    }
    for (const Json& size : {Json(1), Json(16), Json(256), Json(-32), Json(~0ull)}) CHECK(refused("group_size", size));
    CHECK(refused("block", -1));
    CHECK(refused("mix_order", 0));
    CHECK(refused("mix_stride", 1 << 30));
    CHECK(refused("activation_symmetric", 1));
    Json mixed = recipe;
    mixed["sites"][site]["weight_bits"] = 16;
    CHECK(resultOf(with("quantization_config", mixed), "activation_bits") == Result::InvalidFile);
    Json head = recipe;
    head["sites"]["lm_head"] = {{"weight_bits", 4}, {"activation_bits", 8}};
    CHECK(parse(with("quantization_config", head)).recipe("lm_head").weightBits == 4);
    head["sites"]["lm_head"] = Json::object();
    CHECK(resultOf(with("quantization_config", head), "weight_bits") == Result::InvalidFile);
    Json newer = recipe;
    newer["format_version"] = 2;
    CHECK(resultOf(with("quantization_config", newer), "format_version") == Result::Unsupported);
    Json stranger = recipe;
    stranger["sites"]["model.layers.5.mlp.down"] = Json::object();
    CHECK(resultOf(with("quantization_config", stranger), "model.layers.5.mlp.down") == Result::InvalidFile);
}

TEST_CASE("a config cut short at any byte is refused") {
    const std::string whole = smallConfig().dump();
    for (size_t length = 0; length < whole.size(); ++length) {
        CHECK_THROWS_AS(parseModelConfig(whole.substr(0, length), "", "config.json"), Error);
    }
    CHECK_THROWS_AS(parseModelConfig(R"({"hidden_size":64,"hidden_size":64})", "", "config.json"), Error);
}

TEST_CASE("sites and their linears") {
    const ModelConfig config = parse(with("head_dim", 16));
    CHECK(siteName(3, SiteKind::GateUp) == "model.layers.3.mlp.gate_up");
    const auto qkv = siteLinears(config, 3, SiteKind::Qkv);
    REQUIRE(qkv.size() == 3);
    CHECK(qkv[0].prefix == "model.layers.3.self_attn.q_proj");
    CHECK(qkv[0].rows == 128);
    CHECK(qkv[2].rows == 64);
    CHECK(qkv[2].columns == 64);
    CHECK(siteWidth(config, SiteKind::O) == 128);
    CHECK(siteWidth(config, SiteKind::Down) == 172);
    CHECK(siteLinears(config, 0, SiteKind::O).front().rows == 64);
    CHECK(siteLinears(config, 0, SiteKind::GateUp).size() == 2);
}

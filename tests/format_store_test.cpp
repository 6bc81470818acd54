// Model folders: one file, shards, and an index that lies.

#include "format/names.h"
#include "format/safetensors.h"

#include "base/error.h"
#include "support/safetensors_bytes.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <string>

using namespace vulcat;
using namespace vulcat::format;

namespace {

void writeShard(const std::filesystem::path& path, const std::string& name) {
    test::writeFile(
        path, test::safetensorsBytes("{\"" + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "ab"));
}

std::string failureOf(const std::filesystem::path& folder) {
    try {
        const TensorStore store(folder);
    } catch (const Error& error) {
        CHECK(error.code() == Result::InvalidFile);
        return error.what();
    }
    return {};
}

bool refuses(const test::TempFolder& folder, const std::string& index) {
    test::writeFile(folder / "model.safetensors.index.json", index);
    return !failureOf(folder.path()).empty();
}

}  // namespace

TEST_CASE("shards make one store, and moving the store keeps its views") {
    const test::TempFolder folder;
    writeShard(folder / "model-00001-of-00002.safetensors", "a");
    writeShard(folder / "model-00002-of-00002.safetensors", "b");
    test::writeFile(folder / "model.safetensors.index.json",
                    R"({"metadata":{"total_size":4},"weight_map":{"a":"model-00001-of-00002.safetensors",
                        "b":"model-00002-of-00002.safetensors"}})");
    TensorStore first(folder.path());
    const TensorStore store = std::move(first);
    CHECK(store.files().size() == 2);
    CHECK(store.tensors().size() == 2);
    CHECK(store.at("b").name == "b");
    CHECK(std::to_integer<int>(store.at("b").bytes[1]) == 'b');
    CHECK(store.find("c") == nullptr);
    CHECK_NOTHROW(store.checkUnchanged());
    test::writeFile(folder / "model-00002-of-00002.safetensors", "short");
    CHECK_THROWS_AS(store.checkUnchanged(), Error);
}

TEST_CASE("an index that lies is refused") {
    const test::TempFolder folder;
    const test::TempFolder outside;
    writeShard(folder / "s1.safetensors", "a");
    writeShard(folder / "s2.safetensors", "a");
    writeShard(outside / "x.safetensors", "a");
    CHECK_FALSE(refuses(folder, R"({"weight_map":{"a":"s1.safetensors"}})"));
    CHECK(refuses(folder, R"({"weight_map":{"b":"s1.safetensors"}})"));
    CHECK(refuses(folder, R"({"weight_map":{"a":"s3.safetensors"}})"));
    CHECK(refuses(folder, R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})"));
    CHECK(refuses(folder, R"({"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}})"));
    CHECK(refuses(folder, R"({"weight_map":{"a":7}})"));
    CHECK(refuses(folder, R"({"weight_map":[]})"));
    CHECK(refuses(folder, R"({})"));
    CHECK(refuses(folder, R"()"));
    const std::string escape = (outside / "x.safetensors").string();
    for (const std::string& name :
         {escape, "../" + outside.path().filename().string() + "/x.safetensors", std::string("./s1.safetensors"),
          std::string("."), std::string(".."), std::string(), std::string("..\\\\x"),
          std::string("s1.safetensors\\u0000"), std::string(300, 'x')}) {
        CAPTURE(name);
        CHECK(refuses(folder, R"({"weight_map":{"a":")" + name + "\"}}"));
    }
}

TEST_CASE("an empty folder says what is missing") {
    const test::TempFolder folder;
    CHECK(failureOf(folder.path()).find("model.safetensors") != std::string::npos);
}

TEST_CASE("stories260K: the config's promise is kept, and each broken promise is named") {
    VULCAT_SHARED_OR_SKIP(folder, "models/stories260K");
    const TensorStore store(folder);
    const ModelConfig config = readModelConfig(folder);
    CHECK(store.tensors().size() == 47);
    CHECK_NOTHROW(requireModelTensors(config, store));
    const auto failsNaming = [&](auto change, const std::string& word) {
        ModelConfig changed = config;
        change(changed);
        try {
            requireModelTensors(changed, store);
        } catch (const Error& error) {
            CHECK(error.code() == Result::InvalidFile);
            CHECK_MESSAGE(std::string(error.what()).find(word) != std::string::npos, error.what());
            return;
        }
        FAIL("accepted a wrong " << word);
    };
    failsNaming([](ModelConfig& c) { c.hiddenSize = 128; }, "hidden_size");
    failsNaming([](ModelConfig& c) { c.vocabSize = 513; }, "vocab_size");
    failsNaming([](ModelConfig& c) { c.intermediateSize = 171; }, "intermediate_size");
    failsNaming([](ModelConfig& c) { c.kvHeads = 8; }, "num_key_value_heads");
    failsNaming([](ModelConfig& c) { c.layers = 4; }, "num_hidden_layers");
    failsNaming([](ModelConfig& c) { c.layers = 6; }, "model.layers.5");
    failsNaming([](ModelConfig& c) { c.tieWordEmbeddings = false; }, "lm_head.weight");
    failsNaming([](ModelConfig& c) { c.attentionBias = true; }, "q_proj.bias");
    failsNaming(
        [](ModelConfig& c) {
            c.quantization.emplace();
            c.quantization->sites[siteName(2, SiteKind::Down)].weightBits = 4;
        },
        "model.layers.2.mlp.down_proj.codes");
    failsNaming(
        [](ModelConfig& c) {
            c.quantization.emplace();
            c.quantization->sites[std::string(kHeadSite)].weightBits = 4;
        },
        "lm_head.codes");
}

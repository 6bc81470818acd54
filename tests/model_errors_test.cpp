// Folders that are damaged or disagree with themselves: one clear sentence each, naming what is wrong.
#include "base/error.h"
#include "model/session.h"
#include "model_folder.h"
#include "support/gpu_fixture.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <string>

using namespace vulcat;
using test::ModelRecipe;

namespace {

layers::Engine engineOf(test::GpuFixture& gpu) {
    return {gpu.device(), gpu.pipelines(), gpu.device().capabilities()};
}

/// The message with which loading fails; its code must be `code`.
std::string failure(test::GpuFixture& gpu, const std::filesystem::path& folder, Result code = Result::InvalidFile) {
    try {
        const model::DecoderModel decoder(engineOf(gpu), folder);
    } catch (const Error& error) {
        CHECK(error.code() == code);
        return error.what();
    }
    FAIL("the folder was accepted");
    return {};
}

bool contains(const std::string& text, const std::string& part) {
    const bool found = text.find(part) != std::string::npos;
    if (!found) MESSAGE("\"", part, "\" is missing in: ", text);
    return found;
}

void replaceInConfig(const std::filesystem::path& folder, const std::string& from, const std::string& to) {
    std::string config = test::readFile(folder / "config.json");
    const size_t at = config.find(from);
    REQUIRE(at != std::string::npos);
    test::writeFile(folder / "config.json", config.replace(at, from.size(), to));
}

}  // namespace

TEST_CASE("tensors that are missing, misshapen or not finite are named") {
    test::GpuFixture gpu;
    const std::string gate = "model.layers.1.mlp.gate_proj.weight";
    const auto broken = [&](ModelRecipe recipe) {
        test::TempFolder folder;
        test::writeModelFolder(folder.path(), recipe);
        return failure(gpu, folder.path());
    };
    CHECK(contains(broken({.leaveOut = gate}), gate));
    CHECK(contains(broken({.leaveOut = "model.norm.weight"}), "model.norm.weight"));
    CHECK(contains(broken({.wrongShape = gate}), gate));
    CHECK(contains(broken({.wrongShape = "model.embed_tokens.weight"}), "model.embed_tokens.weight"));
    CHECK(contains(broken({.tied = false, .leaveOut = "lm_head.weight"}), "lm_head.weight"));
    CHECK(contains(broken({.attentionBias = true, .leaveOut = "model.layers.0.self_attn.k_proj.bias"}), "k_proj.bias"));
    CHECK(contains(broken({.notFinite = gate}), gate));
    CHECK(contains(broken({.notFinite = "model.layers.0.input_layernorm.weight"}), "input_layernorm"));
}

TEST_CASE("a config that disagrees with the tensors, or is damaged, is refused") {
    test::GpuFixture gpu;
    test::TempFolder folder;
    test::writeModelFolder(folder.path(), {});
    const std::string config = test::readFile(folder / "config.json");

    replaceInConfig(folder.path(), "\"num_hidden_layers\":2", "\"num_hidden_layers\":3");
    CHECK(contains(failure(gpu, folder.path()), "model.layers.2"));
    test::writeFile(folder / "config.json", config.substr(0, config.size() / 2));
    CHECK(contains(failure(gpu, folder.path()), "config.json"));
    std::filesystem::remove(folder / "config.json");
    CHECK(contains(failure(gpu, folder.path()), "config.json"));
    test::writeFile(folder / "config.json", config);
    replaceInConfig(folder.path(), "\"vocab_size\":90", "\"vocab_size\":91");
    CHECK(contains(failure(gpu, folder.path()), "embed_tokens"));
    test::writeFile(folder / "config.json", config);
    std::filesystem::remove(folder / "model.safetensors");
    CHECK(contains(failure(gpu, folder.path()), "model.safetensors"));
}

TEST_CASE("a baked folder whose recipe disagrees with its tensors is refused") {
    test::GpuFixture gpu;
    test::TempFolder folder;
    ModelRecipe recipe;
    recipe.weightBits = 4;
    recipe.activationBits = 8;
    recipe.transform = test::RandomTransform::Blocks;
    test::writeModelFolder(folder.path(), recipe);
    const std::string config = test::readFile(folder / "config.json");
    replaceInConfig(folder.path(), "\"weight_bits\":4", "\"weight_bits\":8");
    CHECK(contains(failure(gpu, folder.path()), ".codes"));
    test::writeFile(folder / "config.json", config);
    replaceInConfig(folder.path(), "\"block\":16", "\"block\":32");
    CHECK(contains(failure(gpu, folder.path()), "transform"));
}

TEST_CASE("loading reports its progress, ends at the total, and can be cancelled") {
    test::GpuFixture gpu;
    test::TempFolder folder;
    test::writeModelFolder(folder.path(), {});
    uint64_t last = 0, total = 0;
    bool ascending = true;
    const model::DecoderModel decoder(engineOf(gpu), folder.path(), [&](uint64_t done, uint64_t all, std::string_view) {
        ascending = ascending && done >= last;
        last = done;
        total = all;
        return true;
    });
    CHECK(ascending);
    CHECK(last == total);
    CHECK(decoder.weightsBytes() > total / 2);
    try {
        const model::DecoderModel cancelled(engineOf(gpu), folder.path(),
                                            [](uint64_t, uint64_t, std::string_view next) { return next != "head"; });
        FAIL("the load went on");
    } catch (const Error& error) {
        CHECK(error.code() == Result::Cancelled);
    }
}

TEST_CASE("sessions refuse what does not fit, and stay as they were") {
    test::GpuFixture gpu;
    test::TempFolder folder;
    test::writeModelFolder(folder.path(), {});
    const model::DecoderModel decoder(engineOf(gpu), folder.path());
    CHECK_THROWS_WITH_AS(model::Session(decoder, {.contextLength = 129}), doctest::Contains("129"), Error);
    model::Session session(decoder, {.contextLength = 8});
    session.forward(std::vector<int32_t>{1, 2, 3});
    CHECK_THROWS_WITH_AS(session.forward({}), doctest::Contains("at least one token"), Error);
    CHECK_THROWS_WITH_AS(session.forward(std::vector<int32_t>{90}), doctest::Contains("vocabulary"), Error);
    CHECK_THROWS_WITH_AS(session.forward(std::vector<int32_t>{-1}), doctest::Contains("vocabulary"), Error);
    CHECK_THROWS_WITH_AS(session.forward(std::vector<int32_t>(6, 1)), doctest::Contains("room for 5"), Error);
    CHECK(session.position() == 3);
}

TEST_CASE("a model that does not fit the device's memory says so") {
    vk::DeviceOptions options;
    options.limits.heapBytes = 100000;
    test::GpuFixture gpu(options);
    test::TempFolder folder;
    test::writeModelFolder(folder.path(), {});
    failure(gpu, folder.path(), Result::OutOfMemory);
}

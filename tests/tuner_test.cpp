// The tuner on the device: it measures every tile that can run, finds them right, and what it keeps computes the same.

#include "support/integer_case.h"

#include "kernels/tuner.h"

#include <doctest/doctest.h>

using namespace vulcat;

TEST_CASE("the tuner measures every tile and finds all of them right") {
    test::GpuFixture gpu;
    const kernels::LinearSize sizes[] = {{{kernels::WeightFormat::Int4, 250, 0}, 333},
                                         {{kernels::WeightFormat::Int4, 256, 64}, 40},
                                         {{kernels::WeightFormat::Int8, 96, 0}, 130}};
    kernels::TunerOptions options;
    options.secondsEach = 0;
    const vk::CapabilitySet all = gpu.capabilities();
    for (const vk::CapabilitySet& allowed : {all, all - vk::CapabilitySet{vk::Capability::Address}}) {
        for (const kernels::LinearSize& size : sizes) {
            const auto tiles = kernels::IntegerLinear::tiles(gpu.device(), allowed, size, options.maxRows);
            REQUIRE(tiles.size() >= 2);
            const kernels::TunedLinear tuned =
                kernels::tuneLinear(gpu.device(), gpu.pipelines(), allowed, size, options);
            CHECK(tuned.wrong.empty());
            CHECK(tuned.measured.size() == tiles.size());
            CHECK(!tuned.best.empty());
            for (const kernels::LinearTile& tile : tuned.measured) CHECK(tile.cost > 0);
        }
    }
}

/// The module with its float products turned into sums.
std::vector<uint32_t> spoilt(std::span<const uint32_t> words) {
    constexpr uint32_t kFAdd = 129, kFMul = 133;
    std::vector<uint32_t> result(words.begin(), words.end());
    for (size_t at = 5; at < result.size(); at += result[at] >> 16)
        if ((result[at] & 0xFFFFu) == kFMul) result[at] = (result[at] & 0xFFFF0000u) | kFAdd;
    return result;
}

TEST_CASE("a tile that computes wrongly is named and never kept") {
    test::GpuFixture gpu;
    std::vector<shaders::Module> modules(shaders::modules().begin(), shaders::modules().end());
    std::vector<uint32_t> words;
    for (shaders::Module& module : modules)
        if (module.name == "integer_linear_w4_m4") words = spoilt(module.words), module.words = words;
    REQUIRE(!words.empty());
    vk::PipelineLibrary library(gpu.device(), {}, modules);
    kernels::TunerOptions options;
    options.secondsEach = 0;
    const kernels::LinearSize size{{kernels::WeightFormat::Int4, 96, 0}, 70};
    const kernels::TunedLinear tuned = kernels::tuneLinear(gpu.device(), library, {}, size, options);
    CHECK(tuned.wrong == std::vector<std::string>{"integer_linear_w4, 4 rows"});
    CHECK(!tuned.measured.empty());
    for (const auto& tiles : {tuned.measured, tuned.best})
        for (const kernels::LinearTile& tile : tiles) CHECK((tile.module != "integer_linear_w4" || tile.rows != 4));
}

TEST_CASE("a tuned linear runs the tiles it is given, and the table's where none of them is allowed") {
    test::GpuFixture gpu;
    const kernels::LinearSize size{{kernels::WeightFormat::Int4, 128, 0}, 64};
    const std::vector<kernels::LinearTile> tuned = {{"integer_linear_w4", 1, 1}, {"integer_linear_w4", 4, 9}};
    const vk::CapabilitySet lanes = gpu.capabilities() - vk::CapabilitySet{vk::Capability::Address};
    const kernels::IntegerLinear linear(gpu.device(), gpu.pipelines(), lanes, size, 512, tuned);
    CHECK(linear.tile(1) == tuned[0]);
    CHECK(linear.tile(512) == tuned[0]);  // by these costs
    const std::vector<kernels::LinearTile> foreign = {{"integer_linear_w4", 3, 1}, {"no such module", 1, 1}};
    const kernels::IntegerLinear plain(gpu.device(), gpu.pipelines(), {}, size, 512, foreign);
    CHECK(plain.module() == "integer_linear_w4");
    CHECK(plain.tile(512).rows == 4);
}

TEST_CASE("tuning ends when it is told to") {
    test::GpuFixture gpu;
    kernels::TunerOptions options;
    options.secondsEach = 0;
    int left = 2;
    options.goOn = [&left] { return left-- > 0; };
    const kernels::LinearSize size{{kernels::WeightFormat::Int4, 64, 0}, 64};
    CHECK_THROWS_WITH_AS(kernels::tuneLinear(gpu.device(), gpu.pipelines(), gpu.capabilities(), size, options),
                         "tuning was cancelled", Error);
}

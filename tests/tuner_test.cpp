// The tuner on the device: it measures every tile that can run, finds them right, and what it keeps computes the same.

#include "support/integer_case.h"

#include "kernels/float_linear.h"
#include "kernels/tuner.h"

#include <doctest/doctest.h>

using namespace vulcat;

TEST_CASE("the tuner measures every tile and finds all of them right") {
    test::GpuFixture gpu;
    using enum kernels::WeightFormat;
    using enum kernels::LinearInput;
    const kernels::LinearSize sizes[] = {{{Int4, 250, 0}, 333, Codes},  {{Int4, 256, 64}, 40, Codes},
                                         {{Int8, 96, 0}, 130, Codes},   {{Int4, 500, 128}, 333, Floats},
                                         {{Int8, 90, 0}, 70, Floats},   {{BF16, 250, 0}, 130, Floats},
                                         {{F16, 96, 0}, 40, Floats},    {{F32, 33, 0}, 33, Floats}};
    kernels::TunerOptions options;
    options.secondsEach = 0;
    const vk::CapabilitySet all = gpu.capabilities();
    for (const vk::CapabilitySet& allowed : {all, all - vk::CapabilitySet{vk::Capability::Address}}) {
        for (const kernels::LinearSize& size : sizes) {
            const auto tiles = size.input == Codes ? kernels::IntegerLinear::tiles(gpu.device(), allowed, size, options.maxRows)
                                                   : kernels::FloatLinear::tiles(gpu.device(), allowed, size);
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

/// The module with its float products turned into sums, and its fused ones into clamps.
std::vector<uint32_t> spoilt(std::span<const uint32_t> words) {
    constexpr uint32_t kExtInst = 12, kFAdd = 129, kFMul = 133, kFma = 50, kFClamp = 43;
    std::vector<uint32_t> result(words.begin(), words.end());
    for (size_t at = 5; at < result.size(); at += result[at] >> 16) {
        const uint32_t opcode = result[at] & 0xFFFFu;
        if (opcode == kFMul) result[at] = (result[at] & 0xFFFF0000u) | kFAdd;
        if (opcode == kExtInst && result[at + 4] == kFma) result[at + 4] = kFClamp;
    }
    return result;
}

/// What the tuner finds on the base tier where one module is spoilt.
kernels::TunedLinear tunedWithout(test::GpuFixture& gpu, std::string_view name, const kernels::LinearSize& size) {
    std::vector<shaders::Module> modules(shaders::modules().begin(), shaders::modules().end());
    std::vector<uint32_t> words;
    for (shaders::Module& module : modules)
        if (module.name == name) words = spoilt(module.words), module.words = words;
    REQUIRE(!words.empty());
    vk::PipelineLibrary library(gpu.device(), {}, modules);
    kernels::TunerOptions options;
    options.secondsEach = 0;
    return kernels::tuneLinear(gpu.device(), library, {}, size, options);
}

TEST_CASE("a tile that computes wrongly is named and never kept") {
    test::GpuFixture gpu;
    const kernels::LinearSize size{{kernels::WeightFormat::Int4, 96, 0}, 70};
    const kernels::TunedLinear tuned = tunedWithout(gpu, "integer_linear_w4_m4", size);
    CHECK(tuned.wrong == std::vector<std::string>{"integer_linear_w4, 4 rows"});
    CHECK(!tuned.measured.empty());
    for (const auto& tiles : {tuned.measured, tuned.best})
        for (const kernels::LinearTile& tile : tiles) CHECK((tile.module != "integer_linear_w4" || tile.rows != 4));
}

TEST_CASE("so is one of a float linear") {
    test::GpuFixture gpu;
    for (const auto format : {kernels::WeightFormat::Int4, kernels::WeightFormat::F16}) {
        const kernels::LinearSize size{{format, 250, 0}, 70, kernels::LinearInput::Floats};
        const kernels::TunedLinear tuned = tunedWithout(gpu, "float_gemv", size);
        REQUIRE(!tuned.wrong.empty());
        for (const std::string& wrong : tuned.wrong) CHECK(wrong.starts_with("float_gemv, 1 rows, "));
        CHECK(!tuned.measured.empty());
        for (const kernels::LinearTile& tile : tuned.measured) CHECK(tile.module != "float_gemv");
    }
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

TEST_CASE("a tuned integer linear takes the splits it is given where it can") {
    test::GpuFixture gpu;
    const vk::CapabilitySet subgroups = gpu.capabilities() & vk::CapabilitySet{vk::Capability::Subgroup};
    const kernels::LinearTile tile{"integer_linear_w4_subgroup", 1, 1, 0, 3};
    const kernels::LinearTile base{"integer_linear_w4", 1, 1, 0, 3};
    const kernels::LinearSize size{{kernels::WeightFormat::Int4, 4096, 0}, 64};
    CHECK(kernels::IntegerLinear(gpu.device(), gpu.pipelines(), subgroups, size, 1, {&tile, 1}).tile(1) == tile);
    CHECK(kernels::IntegerLinear(gpu.device(), gpu.pipelines(), {}, size, 1, {&base, 1}).tile(1).splits == 0);
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

// Integer linear layers: equal to the reference, bit for bit, on every variant this device can run.
// To add a shape, add a line to kAwkward; to add a kind of data, a field to IntegerCase.

#include "support/integer_case.h"

#include "kernels/integer_tiles.h"

#include <doctest/doctest.h>

using namespace vulcat;
using test::IntegerCase;
using test::IntegerData;
using test::ZeroPoints;

namespace {

/// 0: as suits the device. DOT can always split K, others one row without groups; with COOPMAT 3 means the tiles of a GPU.
std::vector<uint32_t> splitsToTry(test::GpuFixture& gpu, const IntegerData& data, const vk::CapabilitySet& allowed) {
    if (allowed.contains(vk::Capability::Dot)) return {0, 3};
    if (allowed.contains(vk::Capability::Coopmat)) return data.x.rows > 8 ? std::vector<uint32_t>{0, 3} : std::vector<uint32_t>{0};
    const bool splittable = data.x.rows == 1 && data.weights.groupSize == 0 && allowed.contains(vk::Capability::Subgroup) &&
                            !allowed.contains(vk::Capability::Address) && gpu.device().subgroupSizeControl();
    return splittable ? std::vector<uint32_t>{0, 3, 8} : std::vector<uint32_t>{0};
}

void checkOnEveryVariant(test::GpuFixture& gpu, const IntegerData& data, const std::string& name, uint32_t parts = 1) {
    const std::vector<float> expected = format::integerLinear(data.weights, data.x, data.bias, data.residual);
    for (const vk::CapabilitySet& allowed : test::integerVariants(gpu)) {
        for (const uint32_t splits : splitsToTry(gpu, data, allowed)) {
            std::string first;
            const size_t wrong = test::countWrong(test::runOnGpu(gpu, allowed, data, parts, splits), expected, first);
            CHECK_MESSAGE(wrong == 0, name, " on ", allowed.toString(), ", ", splits, " splits: ", wrong, " wrong, ", first);
        }
    }
}

constexpr uint32_t kRows[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};
constexpr uint32_t kGroups[] = {0, 32, 64, 128};

IntegerCase randomCase(test::Rng& rng) {
    IntegerCase shape;
    shape.rows = kRows[rng.integer(0, std::size(kRows) - 1)];
    shape.outputs = static_cast<uint32_t>(rng.integer(1, 90));
    shape.inputs = static_cast<uint32_t>(rng.integer(1, 300));
    shape.weightBits = rng.integer(0, 2) == 0 ? 8 : 4;
    shape.groupSize = kGroups[rng.integer(0, 3)];
    shape.activationBits = rng.integer(0, 1) == 0 ? 4 : 8;
    shape.zeros = shape.activationBits == 4 && rng.integer(0, 2) != 0 ? ZeroPoints::Random : ZeroPoints::None;
    shape.bias = rng.integer(0, 1) == 0;
    shape.residual = rng.integer(0, 2) == 0;
    shape.wildScales = rng.integer(0, 1) == 0;
    return shape;
}

void checkAwkward(test::GpuFixture& gpu) {
    static constexpr IntegerCase kAwkward[] = {
        {1, 1, 1, 4, 0, 8, ZeroPoints::None, false, false, false},
        {1, 1, 1, 8, 0, 4, ZeroPoints::Random, true, true, true},
        {1, 3, 17, 4, 0, 4, ZeroPoints::Random, true, false, true},
        {2, 33, 33, 4, 32, 8, ZeroPoints::None, true, true, true},
        {3, 31, 129, 4, 128, 4, ZeroPoints::Random, false, true, true},
        {4, 65, 172, 4, 64, 8, ZeroPoints::None, true, false, true},
        {5, 100, 64, 4, 128, 8, ZeroPoints::None, false, false, true},
        {7, 17, 1000, 4, 0, 8, ZeroPoints::None, true, false, true},
        {33, 7, 96, 4, 32, 4, ZeroPoints::None, false, false, false},
        {17, 130, 255, 8, 64, 8, ZeroPoints::None, true, true, true},
        {1, 257, 257, 8, 128, 4, ZeroPoints::Random, true, true, true},
        {1, 70, 512, 4, 128, 8, ZeroPoints::None, false, false, true},
        {1, 70, 448, 4, 128, 4, ZeroPoints::Random, false, false, true},
        {1, 70, 416, 4, 128, 4, ZeroPoints::Random, false, false, true},
        {1, 70, 2048, 4, 0, 8, ZeroPoints::None, true, true, true},
        {1, 33, 4000, 4, 0, 4, ZeroPoints::Random, true, false, true},
        {1, 33, 1312, 8, 0, 4, ZeroPoints::Random, false, true, true},
    };
    test::Rng rng(11);
    for (const IntegerCase& shape : kAwkward) checkOnEveryVariant(gpu, randomData(shape, rng), shape.describe());
}

void checkRandom(test::GpuFixture& gpu) {
    test::Rng rng(12);
    for (uint32_t i = 0; i < 200; ++i) {
        const IntegerCase shape = randomCase(rng);
        checkOnEveryVariant(gpu, randomData(shape, rng), shape.describe(), shape.outputs >= 3 ? 1 + i % 3 : 1);
    }
}

/// Stay exact over a long row.
void checkExtreme(test::GpuFixture& gpu) {
    struct Extreme {
        int8_t weight;
        int8_t activation;
        int zero;
    };
    static constexpr Extreme kFour[] = {{-8, -127, 0}, {-8, 127, 0}, {7, 127, 0},
                                        {7, -127, 0},  {-8, 15, 0},  {7, 0, 15}};
    static constexpr Extreme kEight[] = {{-127, -127, 0}, {127, -127, 0}, {127, 15, 15}};
    test::Rng rng(13);
    for (const int bits : {4, 8}) {
        for (const Extreme& extreme : bits == 4 ? std::span<const Extreme>(kFour) : std::span<const Extreme>(kEight)) {
            for (const uint32_t rows : {1u, 3u}) {
                IntegerCase shape;
                shape.rows = rows;
                shape.outputs = 9;
                shape.inputs = 14336;
                shape.weightBits = bits;
                shape.groupSize = rows == 1 ? 0 : 128;
                IntegerData data = randomData(shape, rng);
                std::fill(data.weights.codes.begin(), data.weights.codes.end(), extreme.weight);
                std::fill(data.x.codes.begin(), data.x.codes.end(), extreme.activation);
                for (format::RowHeader& header : data.x.headers) header.zero = extreme.zero;
                refreshSums(data);
                checkOnEveryVariant(gpu, data,
                                    shape.describe() + " weight " + std::to_string(extreme.weight) + " activation " +
                                        std::to_string(extreme.activation));
            }
        }
    }
}

}  // namespace

TEST_CASE("awkward shapes, 200 random ones and extreme codes") {
    // On one device, as they share most pipelines: they are nearly all that this takes on SwiftShader.
    test::GpuFixture gpu;
    test::saySkippedVariants(gpu);
    checkAwkward(gpu);
    checkRandom(gpu);
    checkExtreme(gpu);
}

TEST_CASE("tiles that are not the usual ones compute the same") {
    static constexpr IntegerCase kCases[] = {
        {1, 70, 1056, 4, 0, 8, ZeroPoints::None, true, false, true},
        {1, 40, 512, 8, 0, 4, ZeroPoints::Random, false, true, true},
        {140, 150, 256, 4, 0, 4, ZeroPoints::Random, true, true, true},
        {20, 72, 320, 8, 0, 8, ZeroPoints::None, false, false, true},
        {20, 72, 96, 4, 0, 8, ZeroPoints::None, true, false, true},
        {33, 72, 288, 4, 64, 8, ZeroPoints::None, true, true, true},
    };
    constexpr uint32_t kSplits = 3;
    test::GpuFixture gpu;
    test::Rng rng(77);
    for (const IntegerCase& shape : kCases) {
        const IntegerData data = test::randomData(shape, rng);
        const std::vector<float> expected = format::integerLinear(data.weights, data.x, data.bias, data.residual);
        const kernels::LinearSize size = test::sizeOf(data);
        for (const vk::CapabilitySet& allowed : test::integerVariants(gpu)) {
            // Those of other variants, and of DOT those without AHEAD, are the usual ones somewhere and walked above.
            if (!allowed.contains(shape.rows == 1 ? vk::Capability::Dot : vk::Capability::Coopmat)) continue;
            for (const kernels::IntegerTile& item : kernels::integerTiles(gpu.device(), allowed, size, shape.rows, kSplits)) {
                if (shape.rows == 1 && item.tile.form == 0) continue;
                const std::span<const kernels::LinearTile> tuned(&item.tile, 1);
                const kernels::IntegerLinear linear(gpu.device(), gpu.pipelines(), allowed, size, shape.rows, tuned);
                CHECK(linear.tile(shape.rows) == item.tile);
                std::string first;
                const size_t wrong = test::countWrong(test::runOnGpu(gpu, allowed, data, 1, 0, tuned), expected, first);
                CHECK_MESSAGE(wrong == 0, shape.describe(), " by ", item.module, " of ", item.tile.rows, " rows, form ",
                              item.tile.form, ": ", wrong, " wrong, ", first);
            }
        }
    }
}

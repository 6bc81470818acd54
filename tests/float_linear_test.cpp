// Float activations times weights of every format, on every variant this device can run.
// To add a shape, add a line to kAwkward.

#include "kernels/float_linear.h"
#include "kernels/variant.h"

#include "format/half.h"
#include "format/packing.h"
#include "format/quantised_matrix.h"

#include "support/float_close.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"
#include "support/tiers.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <utility>

using namespace vulcat;
using kernels::WeightFormat;
using test::Expected;

namespace {

struct LinearShape {
    uint32_t rows, outputs, inputs;
    WeightFormat format = WeightFormat::F32;
    uint32_t groupSize = 0;
    bool bias = false;
    bool accumulate = false;
};

constexpr LinearShape kAwkward[] = {
    {1, 1, 1, WeightFormat::F32, 0, true, false},       {1, 512, 64, WeightFormat::F32, 0, false, false},
    {2, 33, 172, WeightFormat::F16, 0, true, true},     {3, 70, 43, WeightFormat::BF16, 0, false, true},
    {4, 31, 640, WeightFormat::BF16, 0, false, false},  {5, 100, 33, WeightFormat::F32, 0, true, true},
    {17, 65, 64, WeightFormat::F16, 0, false, false},   {33, 129, 172, WeightFormat::F32, 0, false, true},
    {1, 130, 640, WeightFormat::Int4, 128, true, true}, {2, 64, 64, WeightFormat::Int4, 0, false, false},
    {3, 40, 172, WeightFormat::Int4, 64, true, false},  {5, 7, 100, WeightFormat::Int4, 32, false, true},
    {17, 33, 172, WeightFormat::Int4, 0, true, false},  {33, 90, 96, WeightFormat::Int4, 64, false, false},
    {1, 33, 172, WeightFormat::Int8, 0, true, false},   {9, 70, 640, WeightFormat::Int8, 128, false, true},
    {4, 17, 47, WeightFormat::Int8, 32, true, true},    {1, 37, 1000, WeightFormat::Int4, 32, true, true},
    {1, 70, 1100, WeightFormat::Int4, 64, false, true}, {1, 129, 1024, WeightFormat::Int4, 128, true, false},
    {2, 50, 2047, WeightFormat::Int4, 0, true, true},   {1, 40, 1999, WeightFormat::Int8, 128, true, true},
    {1, 66, 517, WeightFormat::BF16, 0, true, true},    {1, 33, 1024, WeightFormat::F16, 0, false, false},
    {1, 41, 330, WeightFormat::F32, 0, true, true},     {3, 34, 700, WeightFormat::BF16, 0, true, false},
};

// A matrix as LinearWeights takes it, and its values.
struct Matrix {
    std::vector<std::byte> bytes;
    std::vector<float> scales;
    std::vector<int32_t> codeSums;
    std::vector<float> bias;
    std::vector<double> values;  // scale times code for integers
    size_t scaleCount = 0;       // a row
};

Matrix floatMatrix(const LinearShape& shape, test::Rng& rng) {
    Matrix matrix;
    for (const float value : rng.gaussians(size_t{shape.outputs} * shape.inputs)) {
        uint32_t bits = 0;
        float stored = value;
        if (shape.format == WeightFormat::F16)
            stored = format::halfToFloat(static_cast<uint16_t>(bits = format::floatToHalf(value)));
        if (shape.format == WeightFormat::BF16) {
            stored = format::bfloat16ToFloat(static_cast<uint16_t>(bits = format::floatToBfloat16(value)));
        }
        const size_t size = shape.format == WeightFormat::F32 ? 4 : 2;
        const void* source = size == 4 ? static_cast<const void*>(&stored) : &bits;
        matrix.bytes.resize(matrix.bytes.size() + size);
        std::memcpy(matrix.bytes.data() + matrix.bytes.size() - size, source, size);
        matrix.values.push_back(stored);
    }
    return matrix;
}

Matrix codeMatrix(const LinearShape& shape, test::Rng& rng) {
    format::QuantisedMatrix quantised;
    quantised.rows = shape.outputs;
    quantised.columns = shape.inputs;
    quantised.bits = shape.format == WeightFormat::Int4 ? 4 : 8;
    quantised.groupSize = shape.groupSize;
    const int low = quantised.bits == 4 ? -8 : -127;
    const int high = quantised.bits == 4 ? 7 : 127;
    const size_t groups = quantised.groups();
    for (size_t i = 0; i < size_t{shape.outputs} * shape.inputs; ++i) {
        quantised.codes.push_back(static_cast<int8_t>(rng.integer(low, high)));
    }
    Matrix matrix;
    for (size_t i = 0; i < shape.outputs * groups; ++i)
        matrix.scales.push_back(static_cast<float>(rng.uniform(0.01, 0.1)));
    matrix.codeSums.assign(shape.outputs * groups, 0);
    for (size_t n = 0; n < shape.outputs; ++n) {
        for (size_t k = 0; k < shape.inputs; ++k) {
            const size_t group = n * groups + (shape.groupSize == 0 ? 0 : k / shape.groupSize);
            const int code = quantised.codes[n * shape.inputs + k];
            matrix.codeSums[group] += code;
            matrix.values.push_back(static_cast<double>(matrix.scales[group]) * code);
        }
    }
    matrix.bytes = quantised.packedCodes();
    return matrix;
}

std::vector<Expected> reference(const LinearShape& shape, const Matrix& matrix, const std::vector<float>& x,
                                const std::vector<float>& y) {
    std::vector<Expected> expected;
    for (size_t m = 0; m < shape.rows; ++m) {
        for (size_t n = 0; n < shape.outputs; ++n) {
            test::ProductSum sum;
            for (size_t k = 0; k < shape.inputs; ++k)
                sum.add(matrix.values[n * shape.inputs + k], x[m * shape.inputs + k]);
            if (shape.bias) sum.add(matrix.bias[n], 1);
            if (shape.accumulate) sum.add(y[m * shape.outputs + n], 1);
            // A group's sum is rounded once more by its scale, and so are the sums over groups.
            expected.push_back(
                sum.expected(4 + static_cast<double>(shape.groupSize == 0 ? 0 : shape.inputs / shape.groupSize)));
        }
    }
    return expected;
}

/// The device's own choice and, where it has no capabilities or SCALARS and there are few rows, others that a tuner may find.
/// Those for which K is too short are passed over.
std::vector<std::vector<kernels::LinearTile>> tilesToTry(test::GpuFixture& gpu, const vk::CapabilitySet& allowed,
                                                         const kernels::LinearSize& size, uint32_t rows) {
    std::vector<std::vector<kernels::LinearTile>> tries{{}};
    const bool scalars = allowed.contains(vk::Capability::Scalars);
    if (!(allowed.empty() || scalars) || rows > 3) return tries;
    tries.push_back({kernels::FloatLinear::gpuTile(gpu.device(), size)});
    constexpr std::pair<uint32_t, uint32_t> kShared[] = {{1, 1}, {1, 3}, {2, 8}, {3, 2}};
    for (const auto& [tiles, splits] : kShared) tries.push_back({{"float_gemv", 1, 1, tiles, splits}});
    if (scalars) return tries;
    for (const uint32_t high : {1u, 4u}) {
        tries.push_back({{size.shape.isInteger() ? "float_linear_codes" : "float_linear", high, 1, 2, 0}});
    }
    return tries;
}

void check(test::GpuFixture& gpu, const LinearShape& shape, uint32_t parts, test::Rng& rng, size_t leastPanels = 1) {
    const bool integer = shape.format == WeightFormat::Int4 || shape.format == WeightFormat::Int8;
    Matrix matrix = integer ? codeMatrix(shape, rng) : floatMatrix(shape, rng);
    if (shape.bias) matrix.bias = rng.gaussians(shape.outputs);
    const std::vector<float> x = rng.gaussians(size_t{shape.rows} * shape.inputs);
    const std::vector<float> before = rng.gaussians(size_t{shape.rows} * shape.outputs);
    const std::vector<Expected> expected = reference(shape, matrix, x, before);

    const kernels::LinearShape linear{shape.format, shape.inputs, shape.groupSize};
    std::vector<kernels::LinearPart> stack;
    const size_t groups = matrix.scales.size() / shape.outputs;
    const size_t rowBytes = matrix.bytes.size() / shape.outputs;
    for (uint32_t part = 0, begin = 0; part < parts; ++part) {
        const uint32_t count = part + 1 == parts ? shape.outputs - begin : shape.outputs / parts;
        kernels::LinearPart piece;
        piece.rows = count;
        piece.codes = std::span(matrix.bytes).subspan(begin * rowBytes, count * rowBytes);
        piece.scales = std::span(matrix.scales).subspan(begin * groups, count * groups);
        piece.codeSums = std::span(matrix.codeSums).subspan(begin * groups, count * groups);
        if (shape.bias) piece.bias = std::span(matrix.bias).subspan(begin, count);
        stack.push_back(piece);
        begin += count;
    }
    const auto input = gpu.upload(x);
    std::vector<vk::CapabilitySet> sets = test::wordTiers(gpu.capabilities());
    constexpr vk::CapabilitySet kScalars{vk::Capability::Subgroup, vk::Capability::Scalars};
    if (gpu.capabilities().contains(kScalars) && shape.rows <= 3) sets.push_back(kScalars);
    for (const vk::CapabilitySet& allowed : sets) {
        vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 1 << 20);
        vk::Uploader uploader(gpu.device());
        const kernels::LinearWeights weights(gpu.device(), arena, uploader, allowed, linear, stack,
                                             kernels::floatOrder(gpu.device(), allowed, linear));
        uploader.finish();
        CHECK(weights.panels().size() >= leastPanels);
        const kernels::LinearSize size{linear, shape.outputs};
        for (const std::vector<kernels::LinearTile>& tuned : tilesToTry(gpu, allowed, size, shape.rows)) {
            const kernels::FloatLinear kernel(gpu.device(), gpu.pipelines(), allowed, size, 64, tuned);
            const auto y = shape.accumulate ? gpu.upload(before) : gpu.output<float>(before.size());
            gpu.run([&](vk::Recorder& recorder) {
                kernel.record(recorder, {input, weights, y, shape.rows, shape.accumulate});
            });
            const kernels::LinearTile& tile = kernel.tile(shape.rows);
            const std::string difference = test::compare(gpu.readBack<float>(y), expected);
            CHECK_MESSAGE(difference == "", "M ", shape.rows, " N ", shape.outputs, " K ", shape.inputs, " format ",
                          static_cast<int>(shape.format), " G ", shape.groupSize, " with ", tile.module, ", ", tile.tiles,
                          " tiles, ", tile.splits, " splits");
        }
    }
    gpu.clear();
}

}  // namespace

TEST_CASE("awkward shapes in every format") {
    test::GpuFixture gpu;
    test::Rng rng(1);
    for (const LinearShape& shape : kAwkward) check(gpu, shape, shape.outputs >= 3 ? 3 : 1, rng);
}

TEST_CASE("random shapes") {
    test::GpuFixture gpu;
    test::Rng rng(2);
    constexpr uint32_t kRows[] = {1, 2, 3, 4, 5, 7, 8, 9, 17, 33};
    constexpr uint32_t kGroups[] = {0, 32, 64, 128};
    for (int i = 0; i < 40; ++i) {
        LinearShape shape{kRows[rng.integer(0, 9)], static_cast<uint32_t>(rng.integer(1, 80)),
                    static_cast<uint32_t>(rng.integer(1, 200))};
        shape.format = static_cast<WeightFormat>(rng.integer(0, 4));
        if (shape.format == WeightFormat::Int4 || shape.format == WeightFormat::Int8)
            shape.groupSize = kGroups[rng.integer(0, 3)];
        shape.bias = rng.integer(0, 1) == 1;
        shape.accumulate = rng.integer(0, 1) == 1;
        check(gpu, shape, 1, rng);
    }
}

TEST_CASE("a matrix above the storage range is split and gives the same") {
    vk::DeviceOptions options;
    options.limits.maxStorageRange = 64 << 10;
    test::GpuFixture gpu(options);
    test::Rng rng(3);
    check(gpu, {3, 600, 172, WeightFormat::F32, 0, true, false}, 2, rng, 2);
    check(gpu, {1, 900, 172, WeightFormat::Int4, 64, true, true}, 1, rng, 2);
}

TEST_CASE("what a GPU takes for one row keeps it busy and runs on any device") {
    test::GpuFixture gpu;
    for (const WeightFormat format : {WeightFormat::Int4, WeightFormat::BF16, WeightFormat::F32}) {
        for (const uint32_t outputs : {100u, 4096u, 14336u, 128256u}) {
            const kernels::LinearSize size{{format, 4096, 0}, outputs};
            const kernels::LinearTile tile = kernels::FloatLinear::gpuTile(gpu.device(), size);
            const kernels::FloatLinear kernel(gpu.device(), gpu.pipelines(), {}, size, 1, {&tile, 1});
            CHECK(kernel.tile(1) == tile);
            const uint32_t lanes = kernels::weightLanes(gpu.device());
            CHECK((tile.splits * (outputs / (lanes * tile.tiles)) >= 8 * 128 || tile.splits == 32));
        }
    }
}

TEST_CASE("tiles that are not possible here are passed over") {
    test::GpuFixture gpu;
    const kernels::LinearSize size{{WeightFormat::Int4, 256, 0}, 64};
    const kernels::LinearTile impossible[] = {{"float_gemv", 1, 1, 1, 3},         {"float_gemv", 1, 1, 1, 0},
                                              {"float_gemv", 1, 1, 5, 1},         {"float_gemv", 2, 1, 1, 1},
                                              {"float_linear", 1, 1, 4, 1},       {"float_linear_codes", 3, 1, 4, 1},
                                              {"float_linear_codes", 4, 1, 3, 1}, {"no such module", 1, 1, 4, 1}};
    const kernels::FloatLinear kernel(gpu.device(), gpu.pipelines(), {}, size, 64, impossible);
    CHECK(kernel.tile(64) == kernels::FloatLinear(gpu.device(), gpu.pipelines(), {}, size, 64).tile(64));
    const kernels::LinearTile possible[] = {{"float_linear_codes", 8, 1, 2, 1}, {"float_gemv", 1, 1, 4, 2}};
    const kernels::FloatLinear tuned(gpu.device(), gpu.pipelines(), {}, size, 64, possible);
    CHECK(tuned.tile(1) == possible[0]);  // by these costs
    CHECK(tuned.tile(64) == possible[0]);
}

TEST_CASE("arguments that disagree with the plan are refused") {
    test::GpuFixture gpu;
    vk::Arena arena(gpu.device(), vk::MemoryIntent::Device, 1 << 16);
    vk::Uploader uploader(gpu.device());
    const std::vector<float> values(64);
    const kernels::LinearPart part{8, std::as_bytes(std::span(values)), {}, {}, {}};
    const kernels::LinearShape shape{WeightFormat::F32, 8, 0};
    const kernels::LinearWeights weights(gpu.device(), arena, uploader, gpu.capabilities(), shape, {&part, 1},
                                         kernels::floatOrder(gpu.device(), gpu.capabilities(), shape));
    uploader.finish();
    const kernels::FloatLinear other(gpu.device(), gpu.pipelines(), gpu.capabilities(), {{WeightFormat::F32, 12, 0}, 8}, 4);
    const kernels::FloatLinear wider(gpu.device(), gpu.pipelines(), gpu.capabilities(), {shape, 9}, 4);
    const kernels::FloatLinear kernel(gpu.device(), gpu.pipelines(), gpu.capabilities(), {shape, 8}, 4);
    const auto x = gpu.upload(values);
    const auto y = gpu.output<float>(64);
    gpu.run([&](vk::Recorder& recorder) {
        CHECK_THROWS_AS(other.record(recorder, {x, weights, y, 1, false}), Error);
        CHECK_THROWS_AS(wider.record(recorder, {x, weights, y, 1, false}), Error);
        CHECK_THROWS_AS(kernel.record(recorder, {x, weights, y, 5, false}), Error);
        CHECK_THROWS_AS(kernel.record(recorder, {x, weights, y, 0, false}), Error);
    });
}

// Integer linear layers on devices with small limits, and arguments that must be refused.

#include "support/integer_case.h"

#include "shaders/table.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>

using namespace vulcat;
using test::IntegerCase;
using test::IntegerData;
using test::ZeroPoints;

TEST_CASE("a matrix above the storage range is computed in panels") {
    vk::DeviceOptions options;
    options.limits.maxStorageRange = 16384;
    test::GpuFixture gpu(options);
    test::Rng rng(21);
    for (const uint32_t rows : {1u, 9u}) {
        const IntegerCase shape{rows, 333, 250, 4, 64, 4, ZeroPoints::Random, true, true, true};
        const IntegerData data = randomData(shape, rng);
        const std::vector<float> expected = format::integerLinear(data.weights, data.x, data.bias, data.residual);
        for (const vk::CapabilitySet& allowed : test::integerVariants(gpu)) {
            std::string first;
            CHECK_MESSAGE(test::countWrong(test::runOnGpu(gpu, allowed, data, 3), expected, first) == 0, first);
            CHECK(gpu.recorder().dispatchCount() > 1);
        }
    }
}

TEST_CASE("few workgroups a dimension mean several dispatches") {
    vk::DeviceOptions options;
    options.limits.maxWorkgroupCount = {4, 2, 1};
    test::GpuFixture gpu(options);
    test::Rng rng(22);
    for (const uint32_t rows : {2u, 37u}) {
        const IntegerCase shape{rows, 150, 70, 4, 0, 8, ZeroPoints::None, true, false, true};
        const IntegerData data = randomData(shape, rng);
        const std::vector<float> expected = format::integerLinear(data.weights, data.x, data.bias);
        for (const vk::CapabilitySet& allowed : test::integerVariants(gpu)) {
            std::string first;
            CHECK_MESSAGE(test::countWrong(test::runOnGpu(gpu, allowed, data), expected, first) == 0, first);
        }
    }
}

TEST_CASE("many rows go to cooperative matrices where they are allowed, few rows never") {
    test::GpuFixture gpu;
    const vk::CapabilitySet matrices = {vk::Capability::Subgroup, vk::Capability::I8, vk::Capability::Coopmat};
    const auto modules = shaders::modules();
    const bool built = std::any_of(modules.begin(), modules.end(),
                                   [](const auto& item) { return item.name == "integer_linear_coopmat"; });
    if (!built || !gpu.capabilities().contains(matrices)) {
        std::printf("SKIPPED: cooperative matrices, which this %s lacks\n", built ? "device" : "build");
        return;
    }
    const kernels::LinearSize size{{kernels::WeightFormat::Int4, 64, 0}, 4096};
    const auto moduleFor = [&](const vk::CapabilitySet& allowed, uint32_t rows) {
        return std::string(kernels::IntegerLinear(gpu.device(), gpu.pipelines(), allowed, size, rows).module());
    };
    CHECK(moduleFor(matrices, 512) == "integer_linear_coopmat");
    CHECK(moduleFor(matrices, 4) == "integer_linear_w4_subgroup");
    CHECK(moduleFor({vk::Capability::Subgroup}, 512) == "integer_linear_w4_subgroup");
}

TEST_CASE("plans and arguments that disagree are refused") {
    test::GpuFixture gpu;
    vk::Device& device = gpu.device();
    vk::Arena arena(device, vk::MemoryIntent::Device, 1u << 20);
    vk::Uploader uploader(device);
    const kernels::LinearShape shape{kernels::WeightFormat::Int8, 32, 0};
    const std::vector<std::byte> codes(64);
    const std::vector<float> scales(2, 1.0f);
    const std::vector<int32_t> sums(2, 0);
    const kernels::LinearPart part{2, codes, scales, sums, {}};
    const auto build = [&](const kernels::LinearShape& s, const kernels::LinearPart& p) {
        return kernels::LinearWeights(device, arena, uploader, {}, s, std::span(&p, 1));
    };
    CHECK_THROWS_AS(build(shape, {3, codes, scales, sums, {}}), Error);
    CHECK_THROWS_AS(build(shape, {2, codes, std::span(scales).first(1), sums, {}}), Error);
    CHECK_THROWS_AS(build(shape, {2, codes, scales, sums, std::span(scales).first(1)}), Error);
    CHECK_THROWS_AS(build({kernels::WeightFormat::Int8, 32, 48}, part), Error);
    CHECK_THROWS_AS(build({kernels::WeightFormat::F32, 32, 32}, part), Error);
    CHECK_THROWS_AS(kernels::IntegerLinear(device, gpu.pipelines(), {}, {{kernels::WeightFormat::Int4, 132000, 0}, 8}, 1),
                    Error);
    CHECK_THROWS_AS(kernels::IntegerLinear(device, gpu.pipelines(), {}, {{kernels::WeightFormat::F16, 64, 0}, 8}, 1), Error);

    const kernels::LinearWeights weights = build(shape, part);
    uploader.finish();
    const kernels::IntegerLinear linear(device, gpu.pipelines(), {}, {shape, 2}, 1);
    const vk::BufferView storage = gpu.output(kernels::QuantisedRows::sizeBytes(2, 64));
    CHECK_THROWS_AS(kernels::QuantisedRows(device, {}, storage, 3, 64), Error);
    const kernels::QuantisedRows narrow(device, {}, storage, 2, 32);
    const kernels::QuantisedRows wide(device, {}, storage, 2, 64);
    const vk::BufferView y = gpu.output<float>(4);
    vk::Recorder recorder(device);
    recorder.begin();
    CHECK_THROWS_AS(linear.record(recorder, {narrow, weights, y, 2, false}), Error);
    CHECK_THROWS_AS(linear.record(recorder, {narrow, weights, y, 0, false}), Error);
    CHECK_THROWS_AS(linear.record(recorder, {wide, weights, y, 1, false}), Error);
    CHECK_THROWS_AS(linear.record(recorder, {narrow, weights, y.part(0, 4), 1, false}), Error);
    recorder.end();
}

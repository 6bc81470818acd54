// Transforms of activations: dense blocks, the dense mix, the Walsh-Hadamard mix.

#include "kernels/block_transform.h"
#include "kernels/mix_dense.h"
#include "kernels/mix_hadamard.h"
#include "kernels/swiglu.h"
#include "kernels/variant.h"

#include "format/half.h"

#include "support/float_close.h"
#include "support/gpu_fixture.h"
#include "support/rng.h"
#include "support/tiers.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>

using namespace vulcat;
using test::Expected;

namespace {

std::vector<uint16_t> halves(test::Rng& rng, size_t count) {
    std::vector<uint16_t> bits(count);
    for (uint16_t& value : bits) value = format::floatToHalf(static_cast<float>(rng.gaussian()));
    return bits;
}

vk::BufferView uploadBlocks(test::GpuFixture& gpu, const vk::CapabilitySet& allowed, uint32_t width, uint32_t block,
                            const std::vector<uint16_t>& blocks, const std::vector<uint16_t>& tail) {
    using kernels::BlockTransform;
    return gpu.upload(BlockTransform::layOut(width, block, blocks, tail,
                                             BlockTransform::order(gpu.device(), allowed, width, block),
                                             kernels::weightLanes(gpu.device())));
}

/// Full blocks, a tail, one wide tail.
void checkBlocks(test::GpuFixture& gpu) {
    struct Shape {
        uint32_t rows, width, block;
    };
    test::Rng rng(1);
    for (const Shape& shape :
         {Shape{1, 64, 16}, Shape{3, 64, 64}, Shape{5, 172, 64}, Shape{17, 172, 43}, Shape{33, 128, 128},
          Shape{2, 20, 20}, Shape{9, 70, 33}, Shape{1, 172, 32}, Shape{4, 10, 64}, Shape{8, 384, 96}, Shape{10, 176, 64}, Shape{1, 72, 40}}) {
        const size_t tailWidth = shape.width % shape.block;
        const std::vector<float> x = rng.gaussians(size_t{shape.rows} * shape.width);
        const auto blocks = halves(rng, size_t{shape.width / shape.block} * shape.block * shape.block);
        const auto tail = halves(rng, tailWidth * tailWidth);
        std::vector<Expected> expected;
        for (size_t m = 0; m < shape.rows; ++m) {
            for (size_t n = 0; n < shape.width; ++n) {
                const size_t b = n / shape.block;
                const bool full = b < shape.width / shape.block;
                const size_t size = full ? shape.block : tailWidth;
                const uint16_t* matrix = full ? blocks.data() + b * size * size : tail.data();
                test::ProductSum sum;
                for (size_t j = 0; j < size; ++j) {
                    sum.add(format::halfToFloat(matrix[(n - b * shape.block) * size + j]),
                            x[m * shape.width + b * shape.block + j]);
                }
                expected.push_back(sum.expected());
            }
        }
        const auto input = gpu.upload(x);
        for (const vk::CapabilitySet& allowed : test::wordTiers(gpu.capabilities())) {
            const auto matrix = uploadBlocks(gpu, allowed, shape.width, shape.block, blocks, tail);
            const kernels::BlockTransform transform(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.block);
            const auto y = gpu.output<float>(x.size());
            gpu.run([&](vk::Recorder& recorder) { transform.record(recorder, {input, matrix, y, shape.rows}); });
            CHECK_MESSAGE(test::compare(gpu.readBack<float>(y), expected) == "", shape.rows, " x ", shape.width, " by ",
                          shape.block, " on ", allowed.toString());
        }
        gpu.clear();
    }
}

/// As if the SwiGLU stood before the transform, on a CPU to the bit.
void checkBlocksOfSwiGlu(test::GpuFixture& gpu) {
    struct Shape {
        uint32_t rows, width, block;
    };
    test::Rng rng(5);
    for (const Shape& shape : {Shape{1, 64, 16}, Shape{5, 172, 64}, Shape{6, 256, 64}, Shape{2, 70, 33}, Shape{9, 176, 40}}) {
        const size_t tailWidth = shape.width % shape.block, count = size_t{shape.rows} * shape.width;
        const auto blocks = halves(rng, size_t{shape.width / shape.block} * shape.block * shape.block);
        const auto input = gpu.upload(rng.gaussians(2 * count));
        const auto tail = halves(rng, tailWidth * tailWidth);
        for (const vk::CapabilitySet& allowed : test::wordTiers(gpu.capabilities())) {
            const auto words = uploadBlocks(gpu, allowed, shape.width, shape.block, blocks, tail);
            const kernels::SwiGlu swiGlu(gpu.device(), gpu.pipelines(), allowed, shape.width);
            const kernels::BlockTransform after(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.block);
            const kernels::BlockTransform whole(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.block, true);
            const auto product = gpu.output<float>(count), expected = gpu.output<float>(count), y = gpu.output<float>(count);
            gpu.run([&](vk::Recorder& recorder) {
                swiGlu.record(recorder, {input, product, shape.rows});
                after.record(recorder, {product, words, expected, shape.rows});
                whole.record(recorder, {input, words, y, shape.rows});
            });
            const std::vector<float> a = gpu.readBack<float>(expected), b = gpu.readBack<float>(y);
            size_t different = 0;
            for (size_t i = 0; i < count; ++i)
                different += gpu.device().info().type == vk::DeviceType::Cpu ? a[i] != b[i] : std::fabs(a[i] - b[i]) > 1e-4f * (1 + std::fabs(a[i]));
            CHECK_MESSAGE(different == 0, allowed.toString());
        }
    }
}

}  // namespace

TEST_CASE("block transform, also of a SwiGLU; every variant") {
    // On one device, as SwiftShader takes seconds for a pipeline and both have the transform alone.
    test::GpuFixture gpu;
    checkBlocks(gpu);
    checkBlocksOfSwiGlu(gpu);
}

TEST_CASE("block layouts that disagree with the width are refused") {
    const std::vector<uint16_t> blocks(64 * 64);
    CHECK_THROWS_AS(kernels::BlockTransform::layOut(128, 64, blocks, {}), Error);
    CHECK_THROWS_AS(kernels::BlockTransform::layOut(100, 64, blocks, {}), Error);
    CHECK_THROWS_AS(kernels::MixDense::layOut(3, std::vector<float>(8)), Error);
}

TEST_CASE("dense mix: any order and stride") {
    struct Shape {
        uint32_t rows, width, order, stride;
    };
    test::GpuFixture gpu;
    test::Rng rng(2);
    for (const Shape& shape : {Shape{1, 172, 43, 1}, Shape{5, 172, 43, 4}, Shape{3, 60, 3, 5}, Shape{17, 84, 7, 12},
                               Shape{4, 640, 5, 64}, Shape{33, 9, 9, 1}, Shape{2, 12, 1, 3}}) {
        const size_t n = shape.order;
        const size_t s = shape.stride;
        const std::vector<float> x = rng.gaussians(size_t{shape.rows} * shape.width);
        const std::vector<float> c = rng.gaussians(n * n);
        std::vector<Expected> expected;
        for (size_t m = 0; m < shape.rows; ++m) {
            for (size_t k = 0; k < shape.width; ++k) {
                const size_t i = k / s % n;
                test::ProductSum sum;
                for (size_t j = 0; j < n; ++j) sum.add(c[i * n + j], x[m * shape.width + k - i * s + j * s]);
                expected.push_back(sum.expected());
            }
        }
        const auto input = gpu.upload(x);
        const auto matrix = gpu.upload(kernels::MixDense::layOut(shape.order, c));
        for (const vk::CapabilitySet allowed : test::tiers(gpu.capabilities())) {
            const kernels::MixDense mix(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.order, shape.stride);
            const auto y = gpu.output<float>(x.size());
            gpu.run([&](vk::Recorder& recorder) { mix.record(recorder, {input, matrix, y, shape.rows}); });
            CHECK_MESSAGE(test::compare(gpu.readBack<float>(y), expected) == "", shape.rows, " x ", shape.width,
                          " order ", shape.order, " stride ", shape.stride, " on ", allowed.toString());
        }
        gpu.clear();
    }
}

TEST_CASE("Hadamard mix: every order to 4096, strides, in place and not") {
    struct Shape {
        uint32_t rows, width, order, stride;
    };
    test::GpuFixture gpu;
    test::Rng rng(3);
    for (const Shape& shape : {Shape{1, 2, 2, 1}, Shape{3, 12, 4, 3}, Shape{5, 172, 4, 43}, Shape{2, 64, 8, 2},
                               Shape{17, 64, 16, 4}, Shape{1, 64, 32, 1}, Shape{33, 64, 64, 1}, Shape{2, 640, 128, 5},
                               Shape{1, 256, 256, 1}, Shape{2, 1024, 512, 2}, Shape{1, 4096, 4096, 1}}) {
        const size_t n = shape.order;
        const size_t s = shape.stride;
        const std::vector<float> x = rng.gaussians(size_t{shape.rows} * shape.width);
        std::vector<Expected> expected;
        for (size_t m = 0; m < shape.rows; ++m) {
            for (size_t k = 0; k < shape.width; ++k) {
                const size_t i = k / s % n;
                test::ProductSum sum;
                for (size_t j = 0; j < n; ++j) {
                    const double sign = std::popcount(i & j) % 2 == 0 ? 1 : -1;
                    sum.add(sign / std::sqrt(static_cast<double>(n)), x[m * shape.width + k - i * s + j * s]);
                }
                expected.push_back(sum.expected());
            }
        }
        const auto input = gpu.upload(x);
        for (const vk::CapabilitySet allowed : test::tiers(gpu.capabilities())) {
            const kernels::MixHadamard mix(gpu.device(), gpu.pipelines(), allowed, shape.width, shape.order,
                                           shape.stride);
            const auto y = gpu.output<float>(x.size());
            gpu.run([&](vk::Recorder& recorder) { mix.record(recorder, {input, y, shape.rows}); });
            CHECK_MESSAGE(test::compare(gpu.readBack<float>(y), expected) == "", "order ", shape.order, " stride ",
                          shape.stride, " on ", allowed.toString());
            const auto inPlace = gpu.upload(x);
            gpu.run([&](vk::Recorder& recorder) { mix.record(recorder, {inPlace, inPlace, shape.rows}); });
            CHECK_MESSAGE(gpu.readBack<float>(inPlace) == gpu.readBack<float>(y), "in place, order ", shape.order);
            const auto scratch = gpu.output<float>(x.size());
            const auto apart = gpu.output<float>(x.size());
            const auto again = gpu.upload(x);
            gpu.run([&](vk::Recorder& recorder) {
                mix.record(recorder, {input, apart, shape.rows, scratch});
                mix.record(recorder, {again, again, shape.rows, scratch});
            });
            CHECK_MESSAGE(gpu.readBack<float>(apart) == gpu.readBack<float>(y), "with scratch, order ", shape.order);
            CHECK_MESSAGE(gpu.readBack<float>(again) == gpu.readBack<float>(y), "in place with scratch, ", shape.order);
        }
        gpu.clear();
    }
}

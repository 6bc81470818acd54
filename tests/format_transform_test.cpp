#include "format/transform.h"

#include "base/error.h"
#include "format/hadamard.h"
#include "format/half.h"
#include "support/rng.h"
#include "support/temp_folder.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

using namespace vulcat;
using namespace vulcat::format;

namespace {

std::vector<uint16_t> randomHalves(test::Rng& rng, uint64_t count) {
    std::vector<uint16_t> halves(count);
    for (uint16_t& half : halves) half = floatToHalf(static_cast<float>(rng.gaussian()));
    return halves;
}

Transform randomTransform(test::Rng& rng, uint64_t width, uint64_t block, uint64_t order, uint64_t stride) {
    Transform transform;
    transform.width = width;
    transform.block = block;
    transform.blocks = randomHalves(rng, transform.fullBlocks() * block * block);
    transform.tail = randomHalves(rng, transform.tailWidth() * transform.tailWidth());
    setMix(transform, order, stride);
    return transform;
}

// T entry by entry from the definition in transform.h, D = H (x) C by parity of common bits.
std::vector<double> definition(const Transform& t) {
    const uint64_t width = t.width;
    std::vector<double> blocks(width * width, 0.0);
    for (uint64_t i = 0; i < width; ++i) {
        for (uint64_t j = 0; j < width; ++j) {
            const uint64_t k = t.block;
            const uint64_t full = t.fullBlocks() * k;
            if (k == 0) {
                blocks[i * width + j] = i == j ? 1 : 0;
            } else if (i < full && j < full && i / k == j / k) {
                blocks[i * width + j] = double{halfToFloat(t.blocks[i / k * k * k + i % k * k + j % k])};
            } else if (i >= full && j >= full) {
                blocks[i * width + j] = double{halfToFloat(t.tail[(i - full) * t.tailWidth() + (j - full)])};
            }
        }
    }
    const uint64_t n = t.mixOrder;
    const uint64_t s = t.mixStride;
    const uint64_t m = t.mixCore;
    std::vector<double> result(width * width, 0.0);
    for (uint64_t i = 0; i < width; ++i) {
        for (uint64_t j = 0; j < width; ++j) {
            if (i / (n * s) != j / (n * s) || i % s != j % s) continue;
            const uint64_t row = i / s % n;
            const uint64_t column = j / s % n;
            const double sign = std::popcount(row / m & column / m) % 2 == 0 ? 1 : -1;
            const double core = m == 1 ? 1.0 : double{t.mixMatrix[row % m * m + column % m]};
            const double mix = sign / std::sqrt(static_cast<double>(n / m)) * core;
            for (uint64_t c = 0; c < width; ++c) result[i * width + c] += mix * blocks[j * width + c];
        }
    }
    return result;
}

void requireClose(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) REQUIRE(std::fabs(a[i] - b[i]) <= tolerance);
}

struct Shape {
    uint64_t width, block, order, stride;
};

const std::vector<Shape> kShapes = {{64, 0, 64, 1},  {64, 16, 4, 16}, {172, 0, 172, 1}, {172, 64, 172, 1},
                                    {96, 32, 3, 32}, {96, 0, 12, 8},  {96, 16, 1, 1},   {60, 16, 20, 3},
                                    {1, 0, 1, 1},    {17, 5, 17, 1},  {48, 48, 1, 48},  {128, 32, 4, 32},
                                    {80, 16, 40, 2}, {33, 32, 11, 3}};

}  // namespace

TEST_CASE("the transform step by step equals the matrix of its definition") {
    test::Rng rng(9);
    for (const Shape& shape : kShapes) {
        CAPTURE(shape.width);
        CAPTURE(shape.block);
        CAPTURE(shape.order);
        const Transform transform = randomTransform(rng, shape.width, shape.block, shape.order, shape.stride);
        const std::vector<double> matrix = definition(transform);
        requireClose(transformMatrix(transform), matrix, 1e-11);

        std::vector<float> x = rng.gaussians(shape.width);
        std::vector<double> expected(shape.width, 0.0);
        for (size_t i = 0; i < x.size(); ++i) {
            for (size_t j = 0; j < x.size(); ++j) expected[i] += matrix[i * x.size() + j] * double{x[j]};
        }
        applyTransform(transform, std::span<float>(x));
        requireClose(std::vector<double>(x.begin(), x.end()), expected, 2e-4);
    }
}

TEST_CASE("a mix alone is orthogonal, for every width up to 180") {
    for (uint64_t width = 1; width <= 180; ++width) {
        CAPTURE(width);
        const std::vector<double> matrix = transformMatrix(hadamardTransform(width));
        for (uint64_t i = 0; i < width; ++i) {
            for (uint64_t j = i; j < width; ++j) {
                double dot = 0;
                for (uint64_t k = 0; k < width; ++k) dot += matrix[i * width + k] * matrix[j * width + k];
                // C_m is stored in float32.
                REQUIRE(std::fabs(dot - (i == j ? 1 : 0)) < 1e-6);
            }
        }
    }
}

TEST_CASE("transforms survive the container; wrong shapes, entries and recipes are refused") {
    test::Rng rng(10);
    const test::TempFolder folder;
    const std::string site = "model.layers.0.mlp.down";
    for (const Shape& shape : kShapes) {
        CAPTURE(shape.width);
        const Transform transform = randomTransform(rng, shape.width, shape.block, shape.order, shape.stride);
        SafetensorsWriter writer(folder / "model.safetensors", transformSpecs(site, transform));
        writeTransform(writer, site, transform);
        writer.finish();
        const TensorStore store(folder.path());
        SiteRecipe recipe;
        recipe.block = static_cast<int>(shape.block);
        recipe.mixOrder = static_cast<int>(shape.order);
        recipe.mixStride = static_cast<int>(shape.stride);
        const Transform back = readTransform(store, site, recipe, shape.width);
        CHECK(back.blocks == transform.blocks);
        CHECK(back.tail == transform.tail);
        CHECK(back.mixCore == transform.mixCore);
        CHECK(back.mixMatrix == transform.mixMatrix);
        CHECK(back.mixPower() == transform.mixPower());

        const auto refuses = [&](auto change, uint64_t width) {
            SiteRecipe changed = recipe;
            change(changed);
            CHECK_THROWS_AS(readTransform(store, site, changed, width), Error);
        };
        refuses([](SiteRecipe& r) { r.mixOrder = 1 << 20, r.mixStride = 1 << 20; }, shape.width);
        refuses([](SiteRecipe& r) { r.mixOrder = 0; }, shape.width);
        refuses([&](SiteRecipe& r) { r.block = static_cast<int>(shape.width) + 1; }, shape.width);
        if (shape.block != 0) refuses([](SiteRecipe&) {}, shape.width + shape.order * shape.stride);
        if (shape.block == 0) refuses([](SiteRecipe& r) { r.block = 1; }, shape.width);
        if (transform.mixCore > 1) refuses([](SiteRecipe& r) { r.mixOrder = 1; }, shape.width);
    }
}

TEST_CASE("a NaN in a stored transform is refused") {
    test::Rng rng(11);
    const test::TempFolder folder;
    Transform transform = randomTransform(rng, 32, 16, 2, 16);
    transform.blocks[300] = 0x7E00;
    SafetensorsWriter writer(folder / "model.safetensors", transformSpecs("s", transform));
    writeTransform(writer, "s", transform);
    writer.finish();
    SiteRecipe recipe;
    recipe.block = 16;
    recipe.mixOrder = 2;
    recipe.mixStride = 16;
    CHECK_THROWS_AS(readTransform(TensorStore(folder.path()), "s", recipe, 32), Error);
}

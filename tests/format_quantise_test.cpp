#include "format/quantise.h"

#include "base/error.h"
#include "format/half.h"
#include "support/rng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace vulcat;
using namespace vulcat::format;

namespace {

constexpr ActivationFormat kFormats[] = {ActivationFormat::A8, ActivationFormat::A4Asymmetric,
                                         ActivationFormat::A4Symmetric};

struct Range {
    int least;
    int most;
};

Range rangeOf(ActivationFormat format) {
    if (format == ActivationFormat::A8) return {-127, 127};
    return format == ActivationFormat::A4Asymmetric ? Range{0, 15} : Range{-8, 7};
}

double squaredError(const QuantisedMatrix& matrix, const std::vector<float>& weights) {
    const std::vector<float> back = matrix.dequantised();
    double sum = 0;
    for (size_t i = 0; i < back.size(); ++i) sum += std::pow(double{back[i]} - double{weights[i]}, 2);
    return sum;
}

}  // namespace

TEST_CASE("rows: codes in range, error at most half a step, sums exact, zero exactly representable") {
    test::Rng rng(5);
    for (int trial = 0; trial < 300; ++trial) {
        std::vector<float> x = rng.gaussians(static_cast<size_t>(rng.integer(1, 200)), std::exp(rng.uniform(-20, 20)));
        if (trial % 5 == 0) x[0] *= 100;
        if (trial % 7 == 0) {
            for (float& value : x) value = std::fabs(value);
        }
        if (trial % 11 == 0) x[x.size() / 2] = 0;
        for (const ActivationFormat format : kFormats) {
            std::vector<int8_t> codes(x.size());
            const RowHeader header = quantiseRow(x, format, codes);
            std::vector<float> back(x.size());
            dequantiseRow(header, codes, back);
            int32_t sum = 0;
            for (size_t k = 0; k < x.size(); ++k) {
                REQUIRE(codes[k] >= rangeOf(format).least);
                REQUIRE(codes[k] <= rangeOf(format).most);
                sum += codes[k];
                // Half a step for rounding; the asymmetric zero point is rounded too and may clip by half a step.
                const double steps = format == ActivationFormat::A4Asymmetric ? 1.0 : 0.5;
                REQUIRE(std::fabs(double{back[k]} - double{x[k]}) <= steps * double{header.scale} * (1 + 1e-4));
                if (x[k] == 0) REQUIRE(back[k] == 0);
            }
            REQUIRE(header.codeSum == sum);
        }
    }
}

TEST_CASE("rows: hand-made values and ties to even") {
    std::vector<int8_t> codes(4);
    const auto quantise = [&](std::vector<float> x, ActivationFormat format) { return quantiseRow(x, format, codes); };
    RowHeader header = quantise({127, 0.5f, 1.5f, -2.5f}, ActivationFormat::A8);
    CHECK(codes == std::vector<int8_t>{127, 0, 2, -2});
    CHECK(header.scale == 127 * (1.0f / 127.0f));
    header = quantise({-7, 3.5f, 2.5f, 7}, ActivationFormat::A4Symmetric);
    CHECK(codes == std::vector<int8_t>{-7, 4, 2, 7});
    header = quantise({-3, 12, 0, 4}, ActivationFormat::A4Asymmetric);
    CHECK(header.zero == 3);
    CHECK(codes == std::vector<int8_t>{0, 15, 3, 7});
    CHECK(header.codeSum == 25);
    header = quantise({1, 2, 3, 15}, ActivationFormat::A4Asymmetric);  // the range reaches down to 0
    CHECK(header.zero == 0);
    CHECK(codes == std::vector<int8_t>{1, 2, 3, 15});
    header = quantise({-15, -1, -2, -3}, ActivationFormat::A4Asymmetric);
    CHECK(header.zero == 15);
    CHECK(codes == std::vector<int8_t>{0, 14, 13, 12});
}

TEST_CASE("rows of zeros, of nearly nothing, and of the largest floats") {
    const float most = std::numeric_limits<float>::max();
    for (const ActivationFormat format : kFormats) {
        std::vector<int8_t> codes(3, 9);
        for (const float tiny : {0.0f, -0.0f, 0x1p-149f, 0x1p-126f, 0x1p-101f}) {
            const RowHeader header = quantiseRow(std::vector<float>{0, tiny, -0.0f}, format, codes);
            CHECK(header.scale == 0);
            CHECK(header.zero == 0);
            CHECK(header.codeSum == 0);
            CHECK(codes == std::vector<int8_t>{0, 0, 0});
        }
        const RowHeader least = quantiseRow(std::vector<float>{0, kLeastRange, 0}, format, codes);
        CHECK(least.scale > 0);
        CHECK(codes[1] == rangeOf(format).most);
        const RowHeader huge = quantiseRow(std::vector<float>{0, most, 1}, format, codes);
        CHECK(std::isfinite(huge.scale));
        CHECK(codes[1] == rangeOf(format).most);
    }
}

TEST_CASE("weights: absmax scales are max|w| / 7 and / 127 and never clip") {
    test::Rng rng(6);
    for (const int bits : {4, 8}) {
        for (const uint64_t groupSize : {0u, 32u, 64u, 128u}) {
            const std::vector<float> weights = rng.gaussians(7 * 150);
            const QuantisedMatrix matrix = quantiseWeights(weights, 7, 150, bits, groupSize, ScaleSearch::AbsMax);
            const float most = bits == 4 ? 7 : 127;
            REQUIRE(matrix.scales.size() == 7 * matrix.groups());
            for (uint64_t n = 0; n < 7; ++n) {
                for (uint64_t g = 0; g < matrix.groups(); ++g) {
                    const uint64_t begin = n * 150 + g * groupSize;
                    const uint64_t end = groupSize == 0 ? n * 150 + 150 : std::min(begin + groupSize, n * 150 + 150);
                    float amax = 0;
                    for (uint64_t i = begin; i < end; ++i) amax = std::max(amax, std::fabs(weights[i]));
                    const float scale = matrix.scales[n * matrix.groups() + g];
                    REQUIRE(scale == amax / most);
                    int32_t sum = 0;
                    for (uint64_t i = begin; i < end; ++i) {
                        const float expected = std::clamp(std::nearbyint(weights[i] / scale), -most, most);
                        REQUIRE(static_cast<float>(matrix.codes[i]) == expected);
                        sum += matrix.codes[i];
                    }
                    REQUIRE(matrix.codeSums[n * matrix.groups() + g] == sum);
                }
            }
        }
    }
}

TEST_CASE("weights: the searched scale is never worse than absmax and clearly better at 4 bits") {
    test::Rng rng(7);
    double absmax = 0;
    double searched = 0;
    for (int trial = 0; trial < 20; ++trial) {
        std::vector<float> weights(512);
        for (float& w : weights) w = static_cast<float>(trial % 2 == 0 ? rng.gaussian() : rng.laplace());
        for (const int bits : {4, 8}) {
            const double plain = squaredError(quantiseWeights(weights, 2, 256, bits, 0, ScaleSearch::AbsMax), weights);
            const double best = squaredError(quantiseWeights(weights, 2, 256, bits, 0, ScaleSearch::Mse), weights);
            REQUIRE(best <= plain * (1 + 1e-5));
            if (bits == 4) absmax += plain, searched += best;
        }
    }
    CHECK(searched < 0.8 * absmax);
}

TEST_CASE("weights: exact grids are found exactly, zero groups are zero, edges") {
    std::vector<float> weights(64, 0.0f);
    for (int i = 0; i < 15; ++i) weights[static_cast<size_t>(i)] = 0.25f * static_cast<float>(i - 7);
    for (const ScaleSearch search : {ScaleSearch::AbsMax, ScaleSearch::Mse}) {
        const QuantisedMatrix matrix = quantiseWeights(weights, 1, 64, 4, 32, search);
        CHECK(matrix.dequantised() == weights);
        CHECK(matrix.scales[1] == 0);
        CHECK(matrix.codeSums[1] == 0);
    }
    const QuantisedMatrix tiny = quantiseWeights(std::vector<float>{0x1p-140f, 0}, 1, 2, 4, 0, ScaleSearch::Mse);
    CHECK(tiny.scales[0] == 0);
    CHECK(tiny.codes == std::vector<int8_t>{0, 0});
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (const float value : bad) {
        CHECK_THROWS_AS(quantiseWeights(std::vector<float>{1, value}, 1, 2, 4, 0, ScaleSearch::Mse), Error);
    }
}

TEST_CASE("weights: half scales are fp16 numbers, and given up where fp16 has no normal number") {
    test::Rng rng(8);
    for (const ScaleSearch search : {ScaleSearch::AbsMax, ScaleSearch::Mse}) {
        const std::vector<float> weights = rng.gaussians(4 * 128, 0.02);
        const QuantisedMatrix matrix = quantiseWeights(weights, 4, 128, 4, 32, search, true);
        CHECK(matrix.halfScales);
        for (const float scale : matrix.scales) CHECK(halfToFloat(floatToHalf(scale)) == scale);
        std::vector<float> small = weights;
        for (size_t i = 0; i < 32; ++i) small[i] *= 1e-6f;
        CHECK_FALSE(quantiseWeights(small, 4, 128, 4, 32, search, true).halfScales);
        CHECK_FALSE(quantiseWeights(weights, 4, 128, 4, 0, search, true).halfScales);
    }
}

// The reference linear against the plain meaning of its operands.

#include "format/linear_reference.h"

#include "support/rng.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace vulcat;
using namespace vulcat::format;

TEST_CASE("the integer linear is the float linear of the dequantised operands") {
    test::Rng rng(12);
    for (int trial = 0; trial < 60; ++trial) {
        const auto rows = static_cast<uint64_t>(rng.integer(1, 5));
        const auto outputs = static_cast<uint64_t>(rng.integer(1, 9));
        const auto columns = static_cast<uint64_t>(rng.integer(1, 300));
        const int bits = trial % 2 == 0 ? 4 : 8;
        const uint64_t groupSize = std::vector<uint64_t>{0, 32, 64, 128}[static_cast<size_t>(trial / 2 % 4)];
        const auto format = static_cast<ActivationFormat>(trial % 3);
        const std::vector<float> x = rng.gaussians(rows * columns);
        const QuantisedMatrix weights =
            quantiseWeights(rng.gaussians(outputs * columns), outputs, columns, bits, groupSize, ScaleSearch::Mse);
        const QuantisedRows quantised = quantiseRows(x, rows, columns, format);
        const std::vector<float> bias = trial % 4 == 0 ? std::vector<float>{} : rng.gaussians(outputs);
        const std::vector<float> residual = trial % 5 == 0 ? std::vector<float>{} : rng.gaussians(rows * outputs);
        const std::vector<float> y = integerLinear(weights, quantised, bias, residual);

        std::vector<float> back(x.size());
        for (uint64_t m = 0; m < rows; ++m) {
            dequantiseRow(quantised.headers[m], std::span(quantised.codes).subspan(m * columns, columns),
                          std::span(back).subspan(m * columns, columns));
        }
        const std::vector<float> plainWeights = weights.dequantised();
        const std::vector<double> expected = floatLinear(plainWeights, outputs, columns, back, rows, bias);
        const std::vector<double> weightOnly = weightOnlyLinear(weights, back, rows, bias);
        for (uint64_t m = 0; m < rows; ++m) {
            for (uint64_t n = 0; n < outputs; ++n) {
                // Each product of dequantised values carries two roundings, the epilogue a few per group.
                double magnitude = 1;
                for (uint64_t k = 0; k < columns; ++k) {
                    magnitude += std::fabs(double{back[m * columns + k]} * double{plainWeights[n * columns + k]});
                }
                const double bound = magnitude * 12 * 0x1p-24;
                const uint64_t i = m * outputs + n;
                const double plus = residual.empty() ? 0 : double{residual[i]};
                REQUIRE(std::fabs(double{y[i]} - expected[i] - plus) <= bound + std::fabs(plus) * 0x1p-22);
                REQUIRE(std::fabs(weightOnly[i] - expected[i]) <= bound);
            }
        }
    }
}

TEST_CASE("extreme codes stay exact: every product at its largest, at the widest row") {
    constexpr uint64_t kColumns = 131'999;
    QuantisedMatrix weights;
    weights.rows = 1;
    weights.columns = kColumns;
    weights.bits = 8;
    weights.codes.assign(kColumns, -127);
    weights.scales = {1};
    weights.codeSums = {-127 * static_cast<int32_t>(kColumns)};
    QuantisedRows x;
    x.rows = 1;
    x.columns = kColumns;
    x.headers = {{1.0f, 0, 127 * static_cast<int32_t>(kColumns)}};
    x.codes.assign(kColumns, 127);
    CHECK(integerLinear(weights, x).front() == static_cast<float>(-127 * 127 * static_cast<int32_t>(kColumns)));
}

TEST_CASE("the epilogue's order: groups ascending, then row scale, bias, residual, each rounded") {
    QuantisedMatrix weights;
    weights.rows = 1;
    weights.columns = 96;
    weights.bits = 8;
    weights.groupSize = 32;
    weights.codes.assign(96, 1);
    weights.scales = {0.1f, 0.7f, 1e8f};
    weights.codeSums = {32, 32, 32};
    QuantisedRows x;
    x.rows = 1;
    x.columns = 96;
    x.codes.assign(96, 3);
    x.headers = {{0.3f, 1, 288}};
    const float bias[] = {0.123f};
    const float residual[] = {-4.5e8f};
    volatile float y = 64.0f * 0.1f;
    y = y + 64.0f * 0.7f;
    y = y + 64.0f * 1e8f;
    y = y * 0.3f;
    y = y + bias[0];
    y = y + residual[0];
    CHECK(integerLinear(weights, x, bias, residual).front() == y);
}

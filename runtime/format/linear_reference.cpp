#include "format/linear_reference.h"

#include <algorithm>
#include <cassert>

namespace vulcat::format {

namespace {

// Sum of q_w * c over one group, exact: below 2^31 for all widths the contract allows.
int32_t groupDot(std::span<const int8_t> weights, std::span<const int8_t> codes) {
    int32_t sum = 0;
    for (size_t k = 0; k < weights.size(); ++k) sum += int32_t{weights[k]} * int32_t{codes[k]};
    return sum;
}

}  // namespace

std::vector<float> integerLinear(const QuantisedMatrix& weights, const QuantisedRows& x, std::span<const float> bias,
                                 std::span<const float> residual) {
    const uint64_t columns = weights.columns;
    const uint64_t groups = weights.groups();
    const uint64_t width = weights.groupSize == 0 ? columns : weights.groupSize;
    assert(x.columns == columns && columns < 132'000);
    assert(bias.empty() || bias.size() == weights.rows);
    assert(residual.empty() || residual.size() == x.rows * weights.rows);
    std::vector<float> y(x.rows * weights.rows);
    for (uint64_t m = 0; m < x.rows; ++m) {
        const RowHeader& header = x.headers[m];
        for (uint64_t n = 0; n < weights.rows; ++n) {
            float value = 0;
            for (uint64_t g = 0; g < groups; ++g) {
                const uint64_t begin = g * width;
                const uint64_t count = std::min(width, columns - begin);
                const int32_t accumulator = groupDot(std::span(weights.codes).subspan(n * columns + begin, count),
                                                     std::span(x.codes).subspan(m * columns + begin, count));
                const int32_t corrected = accumulator - header.zero * weights.codeSums[n * groups + g];
                const float term = static_cast<float>(corrected) * weights.scales[n * groups + g];
                value = g == 0 ? term : value + term;
            }
            value = value * header.scale;
            if (!bias.empty()) value = value + bias[n];
            if (!residual.empty()) value = value + residual[m * weights.rows + n];
            y[m * weights.rows + n] = value;
        }
    }
    return y;
}

std::vector<double> weightOnlyLinear(const QuantisedMatrix& weights, std::span<const float> x, uint64_t rows,
                                     std::span<const float> bias) {
    const uint64_t columns = weights.columns;
    const uint64_t groups = weights.groups();
    assert(x.size() == rows * columns && (bias.empty() || bias.size() == weights.rows));
    std::vector<double> y(rows * weights.rows);
    for (uint64_t m = 0; m < rows; ++m) {
        for (uint64_t n = 0; n < weights.rows; ++n) {
            double sum = 0;
            for (uint64_t k = 0; k < columns; ++k) {
                const uint64_t group = weights.groupSize == 0 ? 0 : k / weights.groupSize;
                sum += static_cast<double>(weights.scales[n * groups + group]) * weights.codes[n * columns + k] *
                       static_cast<double>(x[m * columns + k]);
            }
            y[m * weights.rows + n] = sum + (bias.empty() ? 0.0 : static_cast<double>(bias[n]));
        }
    }
    return y;
}

std::vector<double> floatLinear(std::span<const float> weights, uint64_t outputs, uint64_t columns,
                                std::span<const float> x, uint64_t rows, std::span<const float> bias) {
    assert(weights.size() == outputs * columns && x.size() == rows * columns);
    std::vector<double> y(rows * outputs);
    for (uint64_t m = 0; m < rows; ++m) {
        for (uint64_t n = 0; n < outputs; ++n) {
            double sum = bias.empty() ? 0.0 : static_cast<double>(bias[n]);
            for (uint64_t k = 0; k < columns; ++k) {
                sum += static_cast<double>(weights[n * columns + k]) * static_cast<double>(x[m * columns + k]);
            }
            y[m * outputs + n] = sum;
        }
    }
    return y;
}

}  // namespace vulcat::format

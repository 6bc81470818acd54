#include "kernels/rope_table.h"

#include "base/error.h"

#include <cmath>
#include <numbers>

namespace vulcat::kernels {
namespace {

// Llama 3.1's rescaling: long wavelengths are stretched by `factor`, short ones kept, linear blend between.
double rescaled(double frequency, const format::RopeScaling& scaling) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    const double turns = scaling.originalMaxPosition / wavelength;  // of this pair within the trained context
    if (turns > scaling.highFreqFactor) return frequency;
    if (turns < scaling.lowFreqFactor) return frequency / scaling.factor;
    const double keep = (turns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor);
    return (1 - keep) * frequency / scaling.factor + keep * frequency;
}

}  // namespace

std::vector<float> ropeTable(uint32_t headDim, double theta, const std::optional<format::RopeScaling>& scaling,
                             uint32_t positions) {
    if (headDim < 2 || headDim % 2 != 0)
        throw Error(Result::InvalidArgument, "rotary embeddings need an even head size");
    const uint32_t half = headDim / 2;
    std::vector<double> frequencies(half);
    for (uint32_t i = 0; i < half; ++i) {
        const double frequency = std::pow(theta, -2.0 * i / headDim);
        frequencies[i] = scaling ? rescaled(frequency, *scaling) : frequency;
    }
    std::vector<float> table(size_t{positions} * headDim);
    for (size_t position = 0; position < positions; ++position) {
        for (size_t i = 0; i < half; ++i) {
            const double angle = static_cast<double>(position) * frequencies[i];
            table[(position * half + i) * 2] = static_cast<float>(std::cos(angle));
            table[(position * half + i) * 2 + 1] = static_cast<float>(std::sin(angle));
        }
    }
    return table;
}

}  // namespace vulcat::kernels

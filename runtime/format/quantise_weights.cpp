#include "format/quantise.h"

#include "base/error.h"
#include "format/half.h"
#include "format/round_even.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace vulcat::format {

namespace {

struct CodeRange {
    float least;
    float most;
};

CodeRange codeRange(int bits) {
    return bits == 4 ? CodeRange{-8, 7} : CodeRange{-127, 127};
}

// fp16 holds the scale as a normal number, so that no variant has to handle denormals.
bool fitsHalf(float scale) {
    return scale == 0 || (scale >= 0x1p-14f && scale < 65520.0f);
}

float stored(float scale, bool half) {
    return half ? halfToFloat(floatToHalf(scale)) : scale;
}

// Weighted sum of squared errors of one group under a scale; gives up once it exceeds `limit`. Eight partial sums, so
// that the compiler may use vectors: this loop is nearly all the time of baking with searched scales.
double groupError(std::span<const float> w, std::span<const float> weights, float scale, CodeRange range,
                  double limit) {
    constexpr size_t kLanes = 8;
    constexpr size_t kPart = 512;
    const float inverse = 1.0f / scale;
    const double square = static_cast<double>(scale) * scale;
    double sum = 0;
    for (size_t begin = 0; begin < w.size() && sum < limit; begin += kPart) {
        const size_t count = std::min(kPart, w.size() - begin);
        float part[kLanes] = {};
        for (size_t k = 0; k + kLanes <= count; k += kLanes) {
            for (size_t lane = 0; lane < kLanes; ++lane) {
                const float value = w[begin + k + lane] * inverse;
                const float error = roundEven(std::min(std::max(value, range.least), range.most)) - value;
                part[lane] += error * error * weights[begin + k + lane];
            }
        }
        for (size_t k = count / kLanes * kLanes; k < count; ++k) {
            const float value = w[begin + k] * inverse;
            const float error = roundEven(std::clamp(value, range.least, range.most)) - value;
            part[k % kLanes] += error * error * weights[begin + k];
        }
        for (const float lane : part) sum += static_cast<double>(lane) * square;
    }
    return sum;
}

float groupScale(std::span<const float> w, std::span<const float> weights, int bits, ScaleSearch search,
                 bool wantsHalf) {
    float amax = 0;
    for (const float value : w) amax = std::max(amax, std::fabs(value));
    const CodeRange range = codeRange(bits);
    const float full = amax / range.most;
    // Weights this small have no normal scale; they are zero for every purpose.
    if (full < 0x1p-126f) return 0;
    if (search == ScaleSearch::AbsMax) return full;
    // 4 bits gain from clipping up to about half of the range; at 8 bits the optimum stays near the full one. The grid
    // begins a little above the absmax scale: -8 has more reach than 7.
    const int steps = bits == 4 ? 96 : 32;
    const float lowest = bits == 4 ? 0.4f : 0.8f;
    float best = full;
    const bool half = wantsHalf && fitsHalf(full);
    double bestError = groupError(w, weights, stored(full, half), range, INFINITY);
    for (int step = 0; step < steps; ++step) {
        const float fraction = lowest + (1.02f - lowest) * static_cast<float>(step) / static_cast<float>(steps - 1);
        const float scale = stored(full * fraction, half);
        if (scale < 0x1p-126f) continue;
        const double error = groupError(w, weights, scale, range, bestError);
        if (error < bestError) {
            bestError = error;
            best = full * fraction;
        }
    }
    return best;
}

void quantiseGroup(std::span<const float> w, float scale, CodeRange range, std::span<int8_t> codes) {
    if (scale == 0) {
        std::fill(codes.begin(), codes.end(), int8_t{0});
        return;
    }
    for (size_t k = 0; k < w.size(); ++k) {
        codes[k] = static_cast<int8_t>(roundEven(std::clamp(w[k] / scale, range.least, range.most)));
    }
}

}  // namespace

QuantisedMatrix quantiseWeights(std::span<const float> weights, uint64_t rows, uint64_t columns, int bits,
                                uint64_t groupSize, ScaleSearch search, bool halfScales,
                                std::span<const float> columnWeights) {
    assert(weights.size() == rows * columns && (bits == 4 || bits == 8));
    assert(columnWeights.empty() || columnWeights.size() == columns);
    if (!std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); })) {
        throw Error(Result::InvalidFile, "a weight matrix holds NaN or infinite values");
    }
    QuantisedMatrix matrix;
    matrix.rows = rows;
    matrix.columns = columns;
    matrix.bits = bits;
    matrix.groupSize = groupSize;
    matrix.halfScales = halfScales && groupSize != 0;
    const uint64_t groups = matrix.groups();
    const uint64_t width = groupSize == 0 ? columns : groupSize;
    const auto group = [&](auto& values, uint64_t index) {
        const uint64_t begin = index % groups * width;
        return std::span(values).subspan(index / groups * columns + begin, std::min(width, columns - begin));
    };

    const std::vector<float> equal(columnWeights.empty() ? columns : 0, 1.0f);
    const std::span<const float> columnShares = columnWeights.empty() ? equal : columnWeights;
    matrix.scales.resize(rows * groups);
    for (uint64_t i = 0; i < matrix.scales.size(); ++i) {
        const uint64_t begin = i % groups * width;
        const auto shares = columnShares.subspan(begin, std::min(width, columns - begin));
        matrix.scales[i] = groupScale(group(weights, i), shares, bits, search, matrix.halfScales);
    }
    matrix.halfScales = matrix.halfScales && std::all_of(matrix.scales.begin(), matrix.scales.end(), fitsHalf);

    matrix.codes.resize(weights.size());
    matrix.codeSums.resize(matrix.scales.size());
    for (uint64_t i = 0; i < matrix.scales.size(); ++i) {
        matrix.scales[i] = stored(matrix.scales[i], matrix.halfScales);
        quantiseGroup(group(weights, i), matrix.scales[i], codeRange(bits), group(matrix.codes, i));
    }
    for (uint64_t n = 0; n < rows; ++n) {
        sumCodes(std::span(matrix.codes).subspan(n * columns, columns), groupSize,
                 std::span(matrix.codeSums).subspan(n * groups, groups));
    }
    return matrix;
}

}  // namespace vulcat::format

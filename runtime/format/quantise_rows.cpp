#include "format/quantise.h"

#include "format/round_even.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace vulcat::format {

namespace {

/// A row with an infinite or undefined value has no codes; its scale carries the fault into every output.
RowHeader brokenRow(std::span<int8_t> codes) {
    std::fill(codes.begin(), codes.end(), int8_t{0});
    RowHeader header;
    header.scale = std::numeric_limits<float>::quiet_NaN();
    return header;
}

bool allFinite(std::span<const float> x) {
    return std::all_of(x.begin(), x.end(), [](float value) { return std::isfinite(value); });
}

RowHeader quantiseSymmetric(std::span<const float> x, float least, float most, std::span<int8_t> codes) {
    float amax = 0;
    for (const float value : x) amax = std::max(amax, std::fabs(value));
    if (!allFinite(x)) return brokenRow(codes);
    RowHeader header;
    if (amax < kLeastRange) {
        std::fill(codes.begin(), codes.end(), int8_t{0});
        return header;
    }
    header.scale = amax * (1.0f / most);
    const float inverse = most / amax;
    for (size_t k = 0; k < x.size(); ++k) {
        codes[k] = static_cast<int8_t>(std::clamp(roundEven(x[k] * inverse), least, most));
        header.codeSum += codes[k];
    }
    return header;
}

RowHeader quantiseAsymmetric(std::span<const float> x, std::span<int8_t> codes) {
    float low = 0;
    float high = 0;
    for (const float value : x) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
    if (!allFinite(x)) return brokenRow(codes);
    RowHeader header;
    const float range = high - low;
    if (range < kLeastRange) {
        std::fill(codes.begin(), codes.end(), int8_t{0});
        return header;
    }
    header.scale = range * (1.0f / 15.0f);
    const float inverse = 15.0f / range;
    const float zero = roundEven(-low * inverse);
    header.zero = static_cast<int32_t>(zero);
    for (size_t k = 0; k < x.size(); ++k) {
        codes[k] = static_cast<int8_t>(std::clamp(roundEven(x[k] * inverse) + zero, 0.0f, 15.0f));
        header.codeSum += codes[k];
    }
    return header;
}

}  // namespace

ActivationFormat activationFormat(int bits, bool symmetric) {
    assert(bits == 4 || bits == 8);
    if (bits == 8) return ActivationFormat::A8;
    return symmetric ? ActivationFormat::A4Symmetric : ActivationFormat::A4Asymmetric;
}

RowHeader quantiseRow(std::span<const float> x, ActivationFormat format, std::span<int8_t> codes) {
    assert(codes.size() == x.size());
    switch (format) {
        case ActivationFormat::A8:
            return quantiseSymmetric(x, -127, 127, codes);
        case ActivationFormat::A4Symmetric:
            return quantiseSymmetric(x, -8, 7, codes);
        case ActivationFormat::A4Asymmetric:
            return quantiseAsymmetric(x, codes);
    }
    return {};
}

void dequantiseRow(const RowHeader& header, std::span<const int8_t> codes, std::span<float> x) {
    assert(codes.size() == x.size());
    for (size_t k = 0; k < x.size(); ++k) x[k] = header.scale * static_cast<float>(codes[k] - header.zero);
}

QuantisedRows quantiseRows(std::span<const float> x, uint64_t rows, uint64_t columns, ActivationFormat format) {
    assert(x.size() == rows * columns);
    QuantisedRows result{.rows = rows, .columns = columns, .headers = {}, .codes = std::vector<int8_t>(x.size())};
    for (uint64_t m = 0; m < rows; ++m) {
        result.headers.push_back(quantiseRow(x.subspan(m * columns, columns), format,
                                             std::span(result.codes).subspan(m * columns, columns)));
    }
    return result;
}

}  // namespace vulcat::format

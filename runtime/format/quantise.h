#pragma once
// The quantisers of the numeric contract. The activation quantiser is the CPU twin of the shader quantise_rows: the
// same float32 operations in the same order. All rounding is to nearest, ties to even.

#include "format/quantised_matrix.h"

#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::format {

enum class ActivationFormat : uint8_t {
    A8,            ///< symmetric, codes -127..127
    A4Asymmetric,  ///< codes 0..15 with a zero point; the range always contains 0
    A4Symmetric,   ///< codes -8..7
};

/// The format of a site with `bits` 4 or 8.
ActivationFormat activationFormat(int bits, bool symmetric);

/// What a row of codes needs to be read: x[k] ~ scale * (code[k] - zero).
struct RowHeader {
    float scale = 0;
    int32_t zero = 0;
    int32_t codeSum = 0;  ///< over all columns, before the zero point
};

/// Ranges below this count as zero: their reciprocals would overflow float32, and devices may flush denormals.
inline constexpr float kLeastRange = 0x1p-100f;

/// Quantises one row (one token).
///   A8:            amax = max|x|, scale = amax * (1/127), code = clamp(round(x * (127/amax)), -127, 127)
///   A4Symmetric:   amax = max|x|, scale = amax * (1/7),   code = clamp(round(x * (7/amax)), -8, 7)
///   A4Asymmetric:  lo = min(0, min x), hi = max(0, max x), inv = 15/(hi - lo), scale = (hi - lo) * (1/15),
///                  zero = round(-lo * inv), code = clamp(round(x * inv) + zero, 0, 15)
/// A range (amax, or hi - lo) below kLeastRange gives scale 0, zero 0 and codes 0. Preconditions: x finite,
/// codes.size() == x.size().
RowHeader quantiseRow(std::span<const float> x, ActivationFormat format, std::span<int8_t> codes);

/// x[k] = scale * float(code[k] - zero).
void dequantiseRow(const RowHeader& header, std::span<const int8_t> codes, std::span<float> x);

/// Several rows, as the integer linear takes them.
struct QuantisedRows {
    uint64_t rows = 0;     ///< M
    uint64_t columns = 0;  ///< K
    std::vector<RowHeader> headers;
    std::vector<int8_t> codes;  ///< [M, K]
};
/// Precondition: x.size() == rows * columns.
QuantisedRows quantiseRows(std::span<const float> x, uint64_t rows, uint64_t columns, ActivationFormat format);

enum class ScaleSearch : uint8_t {
    AbsMax,  ///< scale = max|w| / (2^(bits-1) - 1); no code clips
    Mse,     ///< the scale of least squared error on a grid of fractions of the absmax scale (clipping may win)
};

/// Quantises weights to nearest, one scale a row or group: code = clamp(round(w / s), -8, 7) or (-127, 127). A group
/// of zeros gets scale 0 and codes 0. With `halfScales` (group scales only) scales are rounded to fp16 before the codes
/// are chosen; should a scale leave fp16's normal range, the whole matrix keeps float32 scales. `columnWeights`, if
/// given, weigh each column's squared error in the search; with the inputs' mean squares it serves the outputs.
/// Preconditions: weights.size() == rows * columns, bits 4 or 8, columnWeights empty or [K] and not negative.
/// Errors: InvalidFile for NaN or infinite weights.
QuantisedMatrix quantiseWeights(std::span<const float> weights, uint64_t rows, uint64_t columns, int bits,
                                uint64_t groupSize, ScaleSearch search, bool halfScales = false,
                                std::span<const float> columnWeights = {});

}  // namespace vulcat::format

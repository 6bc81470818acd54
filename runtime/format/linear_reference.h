#pragma once
// Slow and obvious linears: the numeric contract as code, the oracle of every GEMM and GEMV.

#include "format/quantise.h"
#include "format/quantised_matrix.h"

#include <span>
#include <vector>

namespace vulcat::format {

/// Integer linear y = W x + b on quantised rows, [M, N]. Sums are exact in int32; the float32 epilogue runs in this
/// order, without contraction, and shaders agree with it bit for bit:
///   t_g = float(acc_g - zero * codeSum_g) * weightScale[n, g];   y = t_0 + t_1 + ... in ascending g
///   y = y * rowScale[m];   then + bias[n] if given;   then + residual[m, n] if given.
/// Preconditions: x.columns == weights.columns < 132,000; bias empty or [N]; residual empty or [M, N].
std::vector<float> integerLinear(const QuantisedMatrix& weights, const QuantisedRows& x,
                                 std::span<const float> bias = {}, std::span<const float> residual = {});

/// Integer weights on float activations (w4a16, w8a16), computed in double: y = sum_g s_g * sum_k q * x + b.
std::vector<double> weightOnlyLinear(const QuantisedMatrix& weights, std::span<const float> x, uint64_t rows,
                                     std::span<const float> bias = {});

/// Float weights [N, K] on float activations [M, K], computed in double.
std::vector<double> floatLinear(std::span<const float> weights, uint64_t outputs, uint64_t columns,
                                std::span<const float> x, uint64_t rows, std::span<const float> bias = {});

}  // namespace vulcat::format

#pragma once
// Floor `format`: the numeric contract and the containers. Knows files and numbers, no Vulkan and no tokens.
//
// A linear layer y = W x + b with an invertible transform T is y = (W T^-1)(T x), and here is what that means to the
// bit:
//   transform.h, hadamard.h   x' = T x of a site (the input that linears share)
//   quantise.h                activations to codes, a scale a row; weights to codes, a scale a row or group
//   packing.h                 how codes lie in the container's words
//   this file                 slow and obvious linears on them, the oracle of every GEMM and GEMV
//   half.h                    fp16 and bf16, ties to even
// and where it is kept: safetensors.h (tensors), model_config.h (config.json and the recipe), names.h (tensor names and
// shapes), quantised_matrix.h (a quantised linear's tensors), mapped_file.h and atomic_file.h (bytes in and out).

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

#pragma once
// The transform of a site, x' = MIX . B x, as stored and as the slow reference of the shaders.
//
// B is block-diagonal dense: x'[b*k+i] = sum_j B[b][i][j] x[b*k+j], stored fp16, with a smaller last block ("tail")
// when the block width k does not divide K. MIX is orthogonal and acts with order n and stride s on K = outer * n * s:
// y[(o*n+i)*s + r] = sum_j D[i][j] x[(o*n+j)*s + r], where D = H_{2^a} (x) C_m, n = 2^a * m, index i = hi * m + lo,
// H is the Sylvester-Hadamard matrix / sqrt(2^a) and C_m a dense orthogonal matrix (float32; absent for m = 1).
// Container: <site>.transform.blocks F16 [K/k, k, k], .tail F16 [K%k, K%k], .mix F32 [m, m].

#include "format/model_config.h"
#include "format/safetensors.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::format {

struct Transform {
    uint64_t width = 0;            ///< K
    uint64_t block = 0;            ///< k; 0 for no dense blocks
    std::vector<uint16_t> blocks;  ///< fp16 bits [K/k, k, k]
    std::vector<uint16_t> tail;    ///< fp16 bits [t, t], t = K % k; empty when t = 0
    uint64_t mixOrder = 1;         ///< n; 1 for no mix
    uint64_t mixStride = 1;        ///< s
    uint64_t mixCore = 1;          ///< m; n / m is a power of two
    std::vector<float> mixMatrix;  ///< [m, m]; empty when m = 1

    bool hasBlocks() const { return block != 0; }
    bool hasMix() const { return mixOrder > 1; }
    uint64_t fullBlocks() const { return block == 0 ? 0 : width / block; }
    uint64_t tailWidth() const { return block == 0 ? 0 : width % block; }
    /// a, the number of fast Walsh-Hadamard steps.
    int mixPower() const;
};

/// The Hadamard transform of the whole width, without blocks: mix of order K, stride 1.
Transform hadamardTransform(uint64_t width);

/// Sets mixOrder, mixStride, mixCore and mixMatrix (of factorOrder and orthogonalMix) of a transform.
/// Precondition: order * stride divides the transform's width.
void setMix(Transform& transform, uint64_t order, uint64_t stride);

/// Applies the transform to one row in place, step by step as the shaders do: blocks, C_m, then the butterflies of H
/// (from the nearest to the farthest pair), each scaled once by its 1/sqrt. T is float or double; float is not
/// bit-equal to the shaders (their sums may run in another order). Precondition: x.size() == width.
template <class T>
void applyTransform(const Transform& transform, std::span<T> x);

/// The matrix T, [K, K] row-major: column j is the transform of the unit vector j.
std::vector<double> transformMatrix(const Transform& transform);

/// The transform's tensors, for SafetensorsWriter; none for a transform without blocks and mix core.
std::vector<TensorSpec> transformSpecs(const std::string& site, const Transform& transform);
void writeTransform(SafetensorsWriter& writer, const std::string& site, const Transform& transform);

/// Checks that block, mix order and mix stride of the recipe fit the width and that the site's tensors have the shapes
/// and dtypes that follow. Reads no data. Errors: InvalidFile naming the tensor or the recipe's field.
void requireTransformTensors(const TensorStore& store, std::string_view site, const SiteRecipe& recipe, uint64_t width);

/// Reads the transform of a site of `width` inputs, checked as above and for finite entries. Errors: InvalidFile naming
/// the tensor or the recipe's field.
Transform readTransform(const TensorStore& store, std::string_view site, const SiteRecipe& recipe, uint64_t width);

}  // namespace vulcat::format

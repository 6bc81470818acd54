#pragma once
// The tensors of linears that share an input, as the upload wants them: read, checked, stacked, still in host memory.

#include "format/model_config.h"
#include "format/names.h"
#include "format/quantised_matrix.h"
#include "format/safetensors.h"
#include "kernels/linear_weights.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vulcat::layers {

/// Codes and float weights stay in the mapped file, so the store must outlive the source; only float weights of
/// different dtypes in one stack are widened to float32 in memory.
class LinearSource {
  public:
    /// Precondition: at least one linear, all with the same number of columns; weightBits is 4, 8 or 16 (floats);
    /// `coded` 8-bit codes are decoded into memory.
    /// Errors: InvalidFile naming the tensor whose shape, dtype, codes, scales or sums are wrong, or that holds a float
    /// that is not finite.
    LinearSource(const format::TensorStore& store, std::span<const format::LinearInfo> linears, int weightBits,
                 int groupSize, bool coded = false);

    /// One linear from memory, which it keeps, packed. Errors: InvalidArgument for a bias of another length.
    LinearSource(const format::QuantisedMatrix& matrix, std::vector<float> bias);

    const kernels::LinearShape& shape() const { return shape_; }
    std::vector<kernels::LinearPart> parts() const;

  private:
    struct Part {
        uint32_t rows = 0;
        std::span<const std::byte> codes;  ///< in the file, or in `widened` or `packed`
        std::vector<float> widened;
        std::vector<std::byte> packed;
        std::vector<float> scales;
        std::vector<int32_t> codeSums;
        std::vector<float> bias;
    };
    void readIntegers(const format::TensorStore& store, std::span<const format::LinearInfo> linears, int bits,
                      bool coded);
    void readFloats(const format::TensorStore& store, std::span<const format::LinearInfo> linears);

    kernels::LinearShape shape_;
    std::vector<Part> parts_;
};

/// A vector of `width` floats: a norm's gamma or a bias. Errors: InvalidFile as above.
std::vector<float> readVector(const format::TensorStore& store, std::string_view name, uint64_t width);

}  // namespace vulcat::layers

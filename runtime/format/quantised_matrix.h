#pragma once
// A weight matrix as integer codes with scales, and its tensors in the container:
//   <prefix>.codes      U8  [N, packedRowBytes(K)]  packed rows, see packing.h
//   <prefix>.scales     F32 or F16 [N, groups]
//   <prefix>.code_sums  I32 [N, groups]             sum of the codes of each group
// or, for 8-bit codes that are entropy-coded, in fewer bytes:
//   <prefix>.coded      U8  [bytes]                 see rans.h
//   <prefix>.scales     F32 or F16 [N, 1]

#include "format/packing.h"
#include "format/safetensors.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vulcat::format {

struct QuantisedMatrix {
    uint64_t rows = 0;              ///< N
    uint64_t columns = 0;           ///< K
    int bits = 4;                   ///< 4 or 8
    uint64_t groupSize = 0;         ///< 0: one scale a row
    std::vector<int8_t> codes;      ///< [N, K], not packed
    std::vector<float> scales;      ///< [N, groups]
    std::vector<int32_t> codeSums;  ///< [N, groups]
    bool halfScales = false;        ///< stored as F16; then every scale is an fp16 number
    bool coded = false;             ///< stored as .coded; 8 bits, one scale a row

    uint64_t groups() const { return groupCount(columns, groupSize); }
    /// All rows packed, [N, packedRowBytes(K, bits)].
    std::vector<std::byte> packedCodes() const;
    /// codes * scales, [N, K].
    std::vector<float> dequantised() const;
};

/// The codes of a matrix with `coded`, as its tensor .coded holds them.
std::vector<std::byte> entropyCoded(const QuantisedMatrix& matrix);

/// The tensors of the matrix, for SafetensorsWriter. `codedBytes`: size of entropyCoded(), where the matrix is coded.
std::vector<TensorSpec> quantisedMatrixSpecs(const std::string& prefix, const QuantisedMatrix& matrix,
                                             uint64_t codedBytes = 0);

/// Writes those tensors. Precondition: their specs were given to the writer.
void writeQuantisedMatrix(SafetensorsWriter& writer, const std::string& prefix, const QuantisedMatrix& matrix);

/// Reads and checks the tensors: shapes and dtypes, scales finite and not negative, padding codes zero, code sums equal
/// to the codes'; of a coded matrix, that its bytes are whole. Errors: InvalidFile naming the tensor.
QuantisedMatrix readQuantisedMatrix(const TensorStore& store, std::string_view prefix, uint64_t rows, uint64_t columns,
                                    int bits, uint64_t groupSize, bool coded = false);

}  // namespace vulcat::format

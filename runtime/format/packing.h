#pragma once
// Packed integer codes, the portable layout of the container.
//
// int4: 8 codes in a uint32; byte j (0..3) holds K-index j in its low and K-index j+4 in its high nibble, both two's
// complement. So `w & 0xF0F0F0F0` and `(w << 4) & 0xF0F0F0F0` are four int8 values of 16q each, and `w ^ 0x88888888`
// holds q + 8 unsigned. int8: 4 codes in a uint32, byte j holds K-index j. Words are little endian.
// Rows are padded with zero codes to a multiple of 32 columns.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::format {

inline constexpr uint64_t kColumnPadding = 32;

/// K rounded up to the padding.
constexpr uint64_t paddedColumns(uint64_t columns) {
    return (columns + kColumnPadding - 1) / kColumnPadding * kColumnPadding;
}

/// Bytes of one packed row. Precondition: bits is 4 or 8.
constexpr uint64_t packedRowBytes(uint64_t columns, int bits) {
    return paddedColumns(columns) * static_cast<uint64_t>(bits) / 8;
}

/// Scales of one row: ceil(columns / groupSize), or 1 for groupSize 0 (whole row).
constexpr uint64_t groupCount(uint64_t columns, uint64_t groupSize) {
    return groupSize == 0 ? 1 : (columns + groupSize - 1) / groupSize;
}

/// Packs one row. Preconditions: codes in -8..7 (bits 4) or -128..127 (bits 8);
/// packed.size() == packedRowBytes(codes.size(), bits).
void packRow(std::span<const int8_t> codes, int bits, std::span<std::byte> packed);

/// The inverse: the first codes.size() codes of the row. Precondition: as for packRow.
void unpackRow(std::span<const std::byte> packed, int bits, std::span<int8_t> codes);

/// Sums of the codes of each group of one row; sums.size() == groupCount(codes.size(), groupSize).
void sumCodes(std::span<const int8_t> codes, uint64_t groupSize, std::span<int32_t> sums);

}  // namespace vulcat::format

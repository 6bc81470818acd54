#include "format/packing.h"

#include <algorithm>
#include <cassert>

namespace vulcat::format {

namespace {

// K-index of the low nibble of byte `byte`; its high nibble holds the index 4 further on.
constexpr size_t lowIndex(size_t byte) {
    return byte / 4 * 8 + byte % 4;
}

int8_t signedNibble(unsigned nibble) {
    return static_cast<int8_t>(static_cast<int>(nibble ^ 8u) - 8);
}

}  // namespace

void packRow(std::span<const int8_t> codes, int bits, std::span<std::byte> packed) {
    assert((bits == 4 || bits == 8) && packed.size() == packedRowBytes(codes.size(), bits));
    const auto code = [&](size_t k) { return k < codes.size() ? static_cast<unsigned>(codes[k]) : 0u; };
    for (size_t byte = 0; byte < packed.size(); ++byte) {
        const size_t k = bits == 8 ? byte : lowIndex(byte);
        const unsigned value = bits == 8 ? code(k) & 0xFFu : (code(k) & 0xFu) | (code(k + 4) & 0xFu) << 4;
        packed[byte] = static_cast<std::byte>(value);
    }
}

void unpackRow(std::span<const std::byte> packed, int bits, std::span<int8_t> codes) {
    assert((bits == 4 || bits == 8) && packed.size() == packedRowBytes(codes.size(), bits));
    for (size_t k = 0; k < codes.size(); ++k) {
        if (bits == 8) {
            codes[k] = static_cast<int8_t>(packed[k]);
        } else {
            const unsigned byte = std::to_integer<unsigned>(packed[k / 8 * 4 + k % 4]);
            codes[k] = signedNibble(k % 8 < 4 ? byte & 0xFu : byte >> 4);
        }
    }
}

void sumCodes(std::span<const int8_t> codes, uint64_t groupSize, std::span<int32_t> sums) {
    assert(sums.size() == groupCount(codes.size(), groupSize));
    std::fill(sums.begin(), sums.end(), 0);
    for (size_t k = 0; k < codes.size(); ++k) sums[groupSize == 0 ? 0 : k / groupSize] += codes[k];
}

}  // namespace vulcat::format

#pragma once
// Quantised rows of two paths that may sum in another way.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace vulcat::test {

/// How many zero points and codes of two buffers of quantised rows differ. Scales may differ by rounding errors and codes by
/// one; where they differ by more, the result is larger than any bound.
inline size_t codeDifferences(std::span<const uint32_t> a, std::span<const uint32_t> b, uint32_t rowWords) {
    size_t count = a.size() == b.size() ? 0 : a.size() + b.size();
    for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
        const size_t at = i % rowWords;
        if (at == 0) {
            const float p = std::bit_cast<float>(a[i]), q = std::bit_cast<float>(b[i]);
            count += std::fabs(p - q) > 1e-5f * std::fabs(p) ? a.size() : 0;
        } else if (at == 1) {
            count += a[i] != b[i];  // zero points
        } else if (at >= 4 && a[i] != b[i]) {
            for (uint32_t shift = 0; shift < 32; shift += 8) {
                const int p = static_cast<int8_t>(a[i] >> shift), q = static_cast<int8_t>(b[i] >> shift);
                count += std::abs(p - q) > 1 ? a.size() : p != q;
            }
        }
    }
    return count;
}

}  // namespace vulcat::test

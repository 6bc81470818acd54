#pragma once
// fp16 (IEEE binary16) and bf16 conversions, our own so that every compiler and shader rounds alike: ties to even,
// overflow to infinity, subnormals kept, NaN stays NaN (quiet, sign kept). Bit patterns travel as uint16_t.

#include <bit>
#include <cstdint>

namespace vulcat::format {

/// The fp16 value nearest to `value`, ties to even; magnitudes from 65520 up become infinity.
constexpr uint16_t floatToHalf(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
    if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);
    // Normal fp16 numbers drop 13 mantissa bits; below 2^-14 one bit more goes for each step of the exponent.
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return static_cast<uint16_t>(sign);  // below 2^-25, less than half the smallest subnormal
    const bool normal = exponent >= 113;
    const uint32_t shift = normal ? 13 : 126 - exponent;
    const uint32_t source = normal ? magnitude - (112u << 23) : (magnitude & 0x7FFFFFu) | 0x800000u;
    const uint32_t kept = source >> shift;
    const uint32_t dropped = source & ((1u << shift) - 1);
    const uint32_t half = 1u << (shift - 1);
    const uint32_t up = (dropped > half || (dropped == half && (kept & 1u))) ? 1 : 0;
    return static_cast<uint16_t>(sign | (kept + up));
}

/// Exact.
constexpr float halfToFloat(uint16_t half) {
    const uint32_t sign = (half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1Fu;
    const uint32_t mantissa = half & 0x3FFu;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // exact: a 10-bit integer times a power of two
    return sign != 0 ? -magnitude : magnitude;
}

/// The bf16 value nearest to `value`, ties to even.
constexpr uint16_t floatToBfloat16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
    return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/// Exact.
constexpr float bfloat16ToFloat(uint16_t value) {
    return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

}  // namespace vulcat::format

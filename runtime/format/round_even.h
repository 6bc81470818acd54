#pragma once
// Rounding of the quantisers. Private to the floor.

namespace vulcat::format {

/// The nearest whole number, ties to even, for |value| < 2^22: adding 1.5 * 2^23 leaves no bits for a fraction. Plain
/// SSE2, where the library's nearbyint would be a call per element; needs the default rounding mode, which nothing here
/// changes, and a compiler that does not reassociate.
inline float roundEven(float value) {
    constexpr float kShift = 0x1.8p23f;
    return (value + kShift) - kShift;
}

}  // namespace vulcat::format

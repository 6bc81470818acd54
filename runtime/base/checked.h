#pragma once
// Checked 64-bit arithmetic for sizes that come from files or callers: a wrap is an Error, never a small number.

#include "base/error.h"

#include <cstdint>
#include <span>
#include <string>

namespace vulcat {

/// a + b; throws Error(InvalidFile) naming `what` on overflow.
inline uint64_t checkedAdd(uint64_t a, uint64_t b, const char* what) {
    uint64_t result = 0;
    if (__builtin_add_overflow(a, b, &result)) throw Error(Result::InvalidFile, std::string(what) + " is too large");
    return result;
}

/// a * b; throws Error(InvalidFile) naming `what` on overflow.
inline uint64_t checkedMultiply(uint64_t a, uint64_t b, const char* what) {
    uint64_t result = 0;
    if (__builtin_mul_overflow(a, b, &result)) throw Error(Result::InvalidFile, std::string(what) + " is too large");
    return result;
}

/// The product of all factors (1 for none); throws Error(InvalidFile) naming `what` on overflow.
inline uint64_t checkedProduct(std::span<const uint64_t> factors, const char* what) {
    uint64_t result = 1;
    for (uint64_t factor : factors) result = checkedMultiply(result, factor, what);
    return result;
}

/// Smallest multiple of `step` that is at least `value`. Precondition: step > 0 and the result fits.
constexpr uint64_t roundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

/// ceil(value / divisor). Precondition: divisor > 0.
constexpr uint64_t divideUp(uint64_t value, uint64_t divisor) { return (value + divisor - 1) / divisor; }

}  // namespace vulcat

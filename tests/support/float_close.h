#pragma once
// Comparison of floats with a bound derived from the inputs: the test computes the exact value in double and, for each
// element, how far float32 rounding may carry it.

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vulcat::test {

constexpr double kEpsilon = 0x1p-24;  ///< relative rounding error of one float32 operation

/// An exact value and the distance from it that rounding allows.
struct Expected {
    double value = 0;
    double bound = 0;
};

/// Empty when every element is within its bound (NaN never is); else says how many are not and shows the worst.
inline std::string compare(std::span<const float> actual, std::span<const Expected> expected) {
    if (actual.size() != expected.size()) return "sizes differ";
    size_t wrong = 0;
    size_t worst = 0;
    double worstRatio = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
        const double error = std::fabs(static_cast<double>(actual[i]) - expected[i].value);
        if (error <= expected[i].bound) continue;
        ++wrong;
        const double ratio = std::isnan(error) ? HUGE_VAL : error / (expected[i].bound + 1e-300);
        if (ratio >= worstRatio) {
            worstRatio = ratio;
            worst = i;
        }
    }
    if (wrong == 0) return {};
    return std::to_string(wrong) + " of " + std::to_string(actual.size()) + " wrong, worst [" + std::to_string(worst) +
           "] " + std::to_string(actual[worst]) + " instead of " + std::to_string(expected[worst].value) + " +- " +
           std::to_string(expected[worst].bound);
}

/// A sum of products: the bound of float32 accumulation in any order, with `extra` more roundings.
class ProductSum {
  public:
    void add(double a, double b) {
        value_ += a * b;
        magnitude_ += std::fabs(a * b);
        ++terms_;
    }
    double value() const { return value_; }
    Expected expected(double extra = 2) const {
        return {value_, (static_cast<double>(terms_) + extra) * kEpsilon * 1.01 * magnitude_};
    }

  private:
    double value_ = 0;
    double magnitude_ = 0;
    uint64_t terms_ = 0;
};

}  // namespace vulcat::test

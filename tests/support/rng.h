#pragma once
// Random numbers that are the same on every machine and library (std's distributions are not).

#include <cmath>
#include <cstdint>
#include <vector>

namespace vulcat::test {

/// splitmix64; passes the usual statistical tests and needs one word of state.
class Rng {
  public:
    explicit Rng(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    /// An integer in first..last, both included.
    int64_t integer(int64_t first, int64_t last) {
        return first + static_cast<int64_t>(next() % static_cast<uint64_t>(last - first + 1));
    }
    /// [0, 1)
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    /// [low, high)
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// Mean 0, variance 1.
    double gaussian() {
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }
    /// Mean 0, variance 1, heavy tails.
    double laplace() {
        const double u = uniform() - 0.5;
        const double magnitude = -std::log(1 - 2 * std::fabs(u)) / 1.4142135623730951;
        return u < 0 ? -magnitude : magnitude;
    }
    std::vector<float> gaussians(size_t count, double scale = 1) {
        std::vector<float> values(count);
        for (float& value : values) value = static_cast<float>(scale * gaussian());
        return values;
    }

  private:
    uint64_t state_;
};

}  // namespace vulcat::test

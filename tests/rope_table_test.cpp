// Rotary tables against the formula and against Llama 3.1's rescaling at its two ends.

#include "kernels/rope_table.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace vulcat;

TEST_CASE("angles of late positions keep float accuracy") {
    const std::vector<float> table = kernels::ropeTable(64, 500000, std::nullopt, 100000);
    for (const size_t position : {size_t{0}, size_t{1}, size_t{511}, size_t{99999}}) {
        for (size_t i = 0; i < 32; ++i) {
            const double angle = static_cast<double>(position) * std::pow(500000.0, -static_cast<double>(i) / 32);
            CHECK(std::fabs(table[(position * 32 + i) * 2] - std::cos(angle)) < 1e-7);
            CHECK(std::fabs(table[(position * 32 + i) * 2 + 1] - std::sin(angle)) < 1e-7);
        }
    }
}

TEST_CASE("llama3 scaling stretches long wavelengths, keeps short ones and blends between") {
    const format::RopeScaling scaling{8, 1, 4, 8192};
    const std::vector<float> plain = kernels::ropeTable(128, 500000, std::nullopt, 9);
    const std::vector<float> scaled = kernels::ropeTable(128, 500000, scaling, 9);
    const auto sine = [](const std::vector<float>& table, size_t position, size_t i) {
        return table[(position * 64 + i) * 2 + 1];
    };
    CHECK(sine(scaled, 1, 0) == sine(plain, 1, 0));
    CHECK(sine(scaled, 8, 63) == doctest::Approx(sine(plain, 1, 63)).epsilon(1e-6));
    // Pair 32: wavelength 2 pi 500000^(1/2) = 4443, so the context of 8192 holds 1.844 turns.
    const double keep = (8192 / (2 * 3.14159265358979323846 * std::sqrt(500000.0)) - 1) / 3;
    const double frequency = (keep + (1 - keep) / 8) / std::sqrt(500000.0);
    CHECK(sine(scaled, 1, 32) == doctest::Approx(std::sin(frequency)).epsilon(1e-6));
}

TEST_CASE("an odd head size is refused") {
    CHECK_THROWS_AS(kernels::ropeTable(7, 10000, std::nullopt, 1), Error);
}

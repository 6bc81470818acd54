#include "format/hadamard.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <set>

using namespace vulcat::format;

TEST_CASE("Hadamard matrices of all orders up to 180 are +-1 and orthogonal, where one is constructed") {
    std::set<int> missing;
    for (int order = 1; order <= 180; ++order) {
        const auto matrix = hadamardMatrix(order);
        if (!matrix) {
            if (order % 4 == 0) missing.insert(order);
            continue;
        }
        CAPTURE(order);
        REQUIRE((order <= 2 || order % 4 == 0));
        const auto n = static_cast<size_t>(order);
        REQUIRE(matrix->size() == n * n);
        for (size_t i = 0; i < n; ++i) {
            for (size_t j = i; j < n; ++j) {
                int dot = 0;
                for (size_t k = 0; k < n; ++k) {
                    REQUIRE(std::abs((*matrix)[i * n + k]) == 1);
                    dot += (*matrix)[i * n + k] * (*matrix)[j * n + k];
                }
                REQUIRE(dot == (i == j ? order : 0));
            }
        }
    }
    // The multiples of four that neither Paley's nor Sylvester's construction reaches; all others below 180 are there.
    CHECK(missing == std::set<int>{92, 116, 156, 172});
}

TEST_CASE("the mix of every order up to 180 is orthogonal and flat within sqrt(2)") {
    for (int order = 1; order <= 180; ++order) {
        CAPTURE(order);
        const std::vector<double> matrix = orthogonalMix(order);
        const auto n = static_cast<size_t>(order);
        const double flat = 1 / std::sqrt(static_cast<double>(order));
        for (size_t i = 0; i < n; ++i) {
            for (size_t j = i; j < n; ++j) {
                double dot = 0;
                for (size_t k = 0; k < n; ++k) dot += matrix[i * n + k] * matrix[j * n + k];
                REQUIRE(std::fabs(dot - (i == j ? 1 : 0)) < 1e-12);
            }
            for (size_t k = 0; k < n; ++k) REQUIRE(std::fabs(matrix[i * n + k]) < flat * std::sqrt(2.0) * (1 + 1e-12));
        }
    }
}

TEST_CASE("orders of real models split as planned") {
    const auto check = [](int n, int power, int core) {
        CAPTURE(n);
        CHECK(factorOrder(n).power == power);
        CHECK(factorOrder(n).core == core);
    };
    check(1, 0, 1);
    check(4096, 12, 1);
    check(3072, 8, 12);
    check(5120, 8, 20);
    check(14336, 9, 28);
    check(11008, 8, 43);
    check(172, 2, 43);
    check(9728, 7, 76);
    check(53248, 10, 52);
    check(25600, 8, 100);
    check(86, 1, 43);
    check(7, 0, 7);
    for (int n = 1; n <= 3000; ++n) {
        const OrderFactors factors = factorOrder(n);
        REQUIRE((1 << factors.power) * factors.core == n);
    }
}

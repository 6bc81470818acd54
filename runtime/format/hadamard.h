#pragma once
// Hadamard matrices and the orthogonal matrix that takes their place where none is constructed.

#include <cstdint>
#include <optional>
#include <vector>

namespace vulcat::format {

/// A Hadamard matrix of `order` (entries +1 and -1, H H^T = order I), row-major, or nothing where the constructions
/// at hand give none: Sylvester (powers of two), Paley I (order q + 1, q = 3 mod 4 a prime power), Paley II
/// (order 2q + 2, q = 1 mod 4 a prime power), and 2^j times those. Deterministic.
std::optional<std::vector<int8_t>> hadamardMatrix(int order);

/// An orthogonal, flat matrix of any order >= 1, row-major: the Hadamard matrix / sqrt(order) where there is one, else
/// the orthonormal discrete Hartley matrix (cos(2 pi ij/m) + sin(2 pi ij/m)) / sqrt(m), flat within sqrt(2).
std::vector<double> orthogonalMix(int order);

/// n = 2^power * odd part, split for the fast transform H_{2^power} (x) C_core.
struct OrderFactors {
    int power = 0;  ///< of two, for the fast Walsh-Hadamard passes
    int core = 1;   ///< order of the dense matrix; 1 for none
};

/// How an order is split: powers of two have core 1; else the smallest core 4 * odd, 8 * odd, ... of at most 256 that
/// divides n and has a Hadamard matrix; else the odd part itself (Hartley). Precondition: n >= 1.
OrderFactors factorOrder(int n);

}  // namespace vulcat::format

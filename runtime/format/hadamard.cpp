#include "format/hadamard.h"

#include <cassert>
#include <cmath>
#include <numbers>

namespace vulcat::format {

namespace {

using Signs = std::vector<int8_t>;  // row-major square matrix of +1 and -1

constexpr int kMaxCore = 256;

struct PrimePower {
    int prime = 0;
    int degree = 0;
};

// Powers beyond the third are not needed for any order up to 256 and would need a better irreducibility test.
std::optional<PrimePower> primePower(int q) {
    if (q < 2) return std::nullopt;
    int prime = q;
    for (int divisor = 2; divisor * divisor <= q; ++divisor) {
        if (q % divisor == 0) {
            prime = divisor;
            break;
        }
    }
    int degree = 0;
    for (; q % prime == 0; q /= prime) ++degree;
    if (q != 1 || degree > 3) return std::nullopt;
    return PrimePower{prime, degree};
}

// The field of q = p^d elements, d <= 3. An element is the number whose base-p digits are its polynomial's
// coefficients.
class Field {
  public:
    explicit Field(PrimePower power) : p_(power.prime), d_(power.degree) {
        for (int i = 0; i < d_; ++i) size_ *= p_;
        // The modulus is x^d - r(x); a polynomial of degree 2 or 3 is irreducible when it has no root.
        reduction_ = 0;
        while (d_ > 1 && hasRoot()) ++reduction_;
    }

    int size() const { return size_; }

    int subtract(int a, int b) const {
        int result = 0;
        for (int i = 0, place = 1; i < d_; ++i, place *= p_) result += (digit(a, i) - digit(b, i) + p_) % p_ * place;
        return result;
    }

    int multiply(int a, int b) const {
        int product[5] = {};
        for (int i = 0; i < d_; ++i) {
            for (int j = 0; j < d_; ++j) product[i + j] = (product[i + j] + digit(a, i) * digit(b, j)) % p_;
        }
        for (int i = 2 * d_ - 2; i >= d_; --i) {
            for (int j = 0; j < d_; ++j) {
                product[i - d_ + j] = (product[i - d_ + j] + product[i] * digit(reduction_, j)) % p_;
            }
        }
        int result = 0;
        for (int i = d_ - 1; i >= 0; --i) result = result * p_ + product[i];
        return result;
    }

    // +1 for squares, -1 for non-squares, 0 for zero.
    Signs quadraticCharacter() const {
        Signs character(static_cast<size_t>(size_), -1);
        for (int a = 1; a < size_; ++a) character[static_cast<size_t>(multiply(a, a))] = 1;
        character[0] = 0;
        return character;
    }

  private:
    int digit(int element, int i) const {
        for (; i > 0; --i) element /= p_;
        return element % p_;
    }
    bool hasRoot() const {
        for (int x = 0; x < p_; ++x) {
            int power = 1;
            int value = 0;
            for (int i = 0; i < d_; ++i, power = power * x % p_) value += digit(reduction_, i) * power;
            if ((power - value % p_ + p_) % p_ == 0) return true;
        }
        return false;
    }

    int p_;
    int d_;
    int size_ = 1;
    int reduction_ = 0;
};

// The Jacobsthal matrix chi(i - j) bordered by a row of ones and a column of `border`, zero on the diagonal.
Signs borderedJacobsthal(const Field& field, int8_t border) {
    const Signs character = field.quadraticCharacter();
    const int q = field.size();
    const auto order = static_cast<size_t>(q) + 1;
    Signs matrix(order * order);
    for (size_t i = 1; i < order; ++i) {
        matrix[i] = 1;
        matrix[i * order] = border;
    }
    for (int i = 0; i < q; ++i) {
        for (int j = 0; j < q; ++j) {
            matrix[(static_cast<size_t>(i) + 1) * order + static_cast<size_t>(j) + 1] =
                character[static_cast<size_t>(field.subtract(i, j))];
        }
    }
    return matrix;
}

Signs paleyOne(const Field& field) {
    Signs matrix = borderedJacobsthal(field, -1);
    const size_t order = static_cast<size_t>(field.size()) + 1;
    for (size_t i = 0; i < order; ++i) matrix[i * order + i] = 1;
    return matrix;
}

// The symmetric conference matrix with each entry made a 2 x 2 block: c [1 1; 1 -1], and [1 -1; -1 -1] on the diagonal.
Signs paleyTwo(const Field& field) {
    const Signs conference = borderedJacobsthal(field, 1);
    const size_t half = static_cast<size_t>(field.size()) + 1;
    const size_t order = 2 * half;
    Signs matrix(order * order);
    for (size_t i = 0; i < order; ++i) {
        for (size_t j = 0; j < order; ++j) {
            const bool diagonal = i / 2 == j / 2;
            const bool bothOdd = i % 2 == 1 && j % 2 == 1;
            const bool minus = diagonal ? i % 2 == 1 || j % 2 == 1 : bothOdd;
            const int entry = diagonal ? 1 : conference[i / 2 * half + j / 2];
            matrix[i * order + j] = static_cast<int8_t>(minus ? -entry : entry);
        }
    }
    return matrix;
}

Signs doubled(const Signs& matrix, size_t half) {
    const size_t order = 2 * half;
    Signs result(order * order);
    for (size_t i = 0; i < order; ++i) {
        for (size_t j = 0; j < order; ++j) {
            const int8_t entry = matrix[i % half * half + j % half];
            result[i * order + j] = static_cast<int8_t>(i >= half && j >= half ? -entry : entry);
        }
    }
    return result;
}

}  // namespace

std::optional<std::vector<int8_t>> hadamardMatrix(int order) {
    assert(order >= 1);
    if (order == 1) return Signs{1};
    if (order % 2 != 0) return std::nullopt;
    if (order % 4 == 0) {
        if (const auto power = primePower(order - 1)) return paleyOne(Field(*power));
        const auto power = primePower(order / 2 - 1);
        if (power && (order / 2 - 1) % 4 == 1) return paleyTwo(Field(*power));
    }
    const auto half = hadamardMatrix(order / 2);
    if (!half) return std::nullopt;
    return doubled(*half, static_cast<size_t>(order) / 2);
}

std::vector<double> orthogonalMix(int order) {
    assert(order >= 1);
    const auto n = static_cast<uint64_t>(order);
    const double scale = 1 / std::sqrt(static_cast<double>(order));
    std::vector<double> matrix(n * n);
    if (const auto signs = hadamardMatrix(order)) {
        for (size_t i = 0; i < matrix.size(); ++i) matrix[i] = scale * (*signs)[i];
        return matrix;
    }
    for (uint64_t i = 0; i < n; ++i) {
        for (uint64_t j = 0; j < n; ++j) {
            const double angle = 2 * std::numbers::pi * static_cast<double>(i * j % n) / static_cast<double>(n);
            matrix[i * n + j] = scale * (std::cos(angle) + std::sin(angle));
        }
    }
    return matrix;
}

OrderFactors factorOrder(int n) {
    assert(n >= 1);
    OrderFactors factors{.power = 0, .core = n};
    for (; factors.core % 2 == 0; factors.core /= 2) ++factors.power;
    if (factors.core == 1) return factors;
    for (int power = 2; power <= factors.power && factors.core <= kMaxCore >> power; ++power) {
        const int core = factors.core << power;
        if (hadamardMatrix(core)) return {.power = factors.power - power, .core = core};
    }
    return factors;
}

}  // namespace vulcat::format

#pragma once
// Successive interference cancellation: the one idea behind GPTQ and WaterSIC. With the covariance H = L L^T of the
// inputs, columns are rounded from the last to the first, and each is corrected for the errors e = w - w^ of those
// behind it so that their effect on the output is cancelled as far as it can be:
//     t_i = w_i + sum over k > i of e_k L[k,i] / L[i,i]          (then w^_i is t_i rounded)
// which leaves the output error ||(W - W^) L||^2 = sum of (L[i,i] (t_i - w^_i))^2. This form needs neither an inverse
// nor W L, and its sums over k run through matrix products a block of columns at a time. All files of the method store
// a matrix by columns ([K, N]: a column of W contiguous, in order of position), so that the work on one column is a
// vector.

#include "calibrate/linear_algebra.h"

#include <span>
#include <vector>

namespace vulcat::calibrate {

/// Integer codes of a matrix, [N, K] like the weights.
using CodeMatrix = Eigen::Matrix<int32_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Column positions of a cancellation: order[p] is the matrix column at position p; position K-1 is rounded first.
using ColumnOrder = std::vector<Eigen::Index>;

/// By descending `values` (ties: the lower column first).
ColumnOrder descendingOrder(const Eigen::VectorXd& values);

/// h[order, order].
MatrixD reordered(const MatrixD& h, const ColumnOrder& order);

/// L = M diag(d) with M unit lower triangular.
struct CancellationFactor {
    MatrixD unitLower;         ///< M; zeros above the diagonal
    Eigen::VectorXd diagonal;  ///< d = diag(L), positive
    AddedDamping damping;           ///< what H needed to have a factor
};

/// The factor of a covariance that is in the order of positions already. Errors: see dampedCholesky.
CancellationFactor cancellationFactor(MatrixD h, double relativeDamping, int threads);

/// Rows first..first+count of w [N, K], transposed and in the order of positions: out [K, count], tight.
void gatherColumns(const Matrix& w, const ColumnOrder& order, Eigen::Index first, Eigen::Index count, double* out);

/// targets[lo..hi) += M[from..to, lo..hi)^T errors[from..to): what the errors of later columns ask of earlier ones.
/// `targets` points at column lo; both have `rows` values a column at distance `stride`.
void cancelErrors(const MatrixD& unitLower, Eigen::Index lo, Eigen::Index hi, Eigen::Index from, Eigen::Index to,
                  const double* errors, Eigen::Index errorStride, double* targets, Eigen::Index targetStride,
                  Eigen::Index rows);

/// Nearest integer, ties to even, for |x| < 2^51: adding 1.5 * 2^52 leaves no bits for a fraction. As an expression it
/// stays a vector operation on every target, which std::nearbyint is not.
template <typename Expression>
auto roundedToEven(const Expression& x) {
    constexpr double kNoFraction = 6755399441055744.0;
    return (x + kNoFraction) - kNoFraction;
}

}  // namespace vulcat::calibrate

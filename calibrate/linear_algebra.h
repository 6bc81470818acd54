#pragma once
// Dense double-precision pieces that rounding and permutations share. The work is cut into tiles of fixed size, each of
// which calls the BLAS on one thread, so that results are the same bits for any number of threads. All matrices are
// row-major; `threads` is as in calibrate/parallel.h.

#include "calibrate/matrix.h"

namespace vulcat::calibrate {

/// y[M,N] (+)= op(a) b with row strides in elements; op(a) is a [M,K], or the transpose of a [K,M] when `transposeA`.
void multiplyAdd(bool transposeA, Eigen::Index M, Eigen::Index N, Eigen::Index K, const double* a, Eigen::Index strideA,
                 const double* b, Eigen::Index strideB, double* y, Eigen::Index strideY, bool accumulate);

/// a * b.
MatrixD product(const MatrixD& a, const MatrixD& b, int threads);

/// The lower Cholesky factor in place: reads and writes the lower triangle only. Returns false when a pivot is not
/// positive; the lower triangle is then undefined, the part above the diagonal as it was.
bool choleskyLower(MatrixD& a, int threads);

/// b := b L^-T, or b := b L^-1; `lower` is read in its lower triangle only.
void solveRightTransposed(const MatrixD& lower, MatrixD& b, int threads);
void solveRight(const MatrixD& lower, MatrixD& b, int threads);

/// b := M^-1 b with M unit lower triangular.
void solveUnitLeft(const MatrixD& unitLower, MatrixD& b, int threads);

/// The inverse of a symmetric positive definite matrix from its lower Cholesky factor; both triangles are filled.
MatrixD inverseFromFactor(const MatrixD& lower, int threads);

/// The inverse of a square matrix by LU with row exchanges, on the calling thread; all NaN where a pivot is zero.
/// `reciprocalCondition` becomes an estimate of 1 / (|a| |a^-1|) in the norm of absolute row sums, 0 where singular.
MatrixD generalInverse(MatrixD a, double& reciprocalCondition);

/// What was added to the diagonal to make a Cholesky factor exist.
struct AddedDamping {
    double added = 0;  ///< absolute
    int attempts = 1;  ///< rungs of the ladder that were tried; more than 1 is worth a line in a report
};

/// Replaces the symmetric `h` by the lower Cholesky factor L of h + added * I (zeros above the diagonal). `added`
/// starts at relative * mean(diag h) and grows tenfold until the factor exists, which covers every positive
/// semidefinite matrix with its rounding errors. A matrix without any positive mean diagonal (nothing was seen) gives
/// the identity. Errors: InvalidArgument when h is not square or holds NaN or infinity.
AddedDamping dampedCholesky(MatrixD& h, double relative, int threads);

/// Eigenvalues of a symmetric matrix, ascending; `a` becomes the eigenvectors, one a row. Runs on the calling thread.
/// Errors: Failure when the iteration does not converge, which finite input does not bring about.
Eigen::VectorXd diagonalise(MatrixD& a);
/// The eigenvalues alone.
Eigen::VectorXd spectrum(MatrixD a);

/// Singular values of a square matrix, descending; `a` becomes the left singular vectors, one a row. Runs on the
/// calling thread. Errors: as diagonalise.
Eigen::VectorXd leftSingular(MatrixD& a);

/// The geometric mean A # B = A^1/2 (A^-1/2 B A^-1/2)^1/2 A^1/2 of two symmetric positive definite matrices, as the
/// limit of A <- (A + B)/2, B <- 2 A (A + B)^-1 B with both scaled to equal determinants each round: quadratic
/// convergence, and nothing but Cholesky factors. Both arguments are damped by `relative` (see dampedCholesky)
/// beforehand.
MatrixD geometricMean(MatrixD a, MatrixD b, double relative, int threads);

}  // namespace vulcat::calibrate

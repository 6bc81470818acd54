#pragma once
// Plain dense algebra in double for expected values: loops anyone can check, sharing no code with the calibrator, and
// compiled once (Eigen's own products and factorisations take a second or two of compile time in each file).

#include <Eigen/Core>

namespace vulcat::test {

using Dense = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Dense times(const Dense& a, const Dense& b);            ///< a b
Dense timesTransposed(const Dense& a, const Dense& b);  ///< a b^T
Dense transposedTimes(const Dense& a, const Dense& b);  ///< a^T b

/// q diag(values) q^T.
Dense congruence(const Dense& q, const Eigen::VectorXd& values);

/// By Gauss and Jordan with row exchanges; NaN where `a` is singular.
Dense inverse(const Dense& a);

/// L with a = L L^T and zeros above the diagonal; NaN on the diagonal from the first pivot that is not positive.
Dense lowerFactor(const Dense& a);

/// Eigenvalues of a symmetric matrix in ascending order, by Jacobi's rotations.
Eigen::VectorXd symmetricEigenvalues(const Dense& a);

}  // namespace vulcat::test

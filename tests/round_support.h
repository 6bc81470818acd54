#pragma once
// Synthetic weights and covariances with known theory, and slow reference algorithms as the papers write them.

#include "calibrate/cancellation.h"
#include "format/rans.h"

#include "support/dense.h"
#include "support/rng.h"

#include <span>
#include <vector>

namespace vulcat::test {

using calibrate::CodeMatrix;
using calibrate::ColumnOrder;
using calibrate::Matrix;
using calibrate::MatrixD;
using Eigen::Index;

/// One set of entropy models for all tests: building it takes a while.
const format::ColumnModels& columnModels();

/// Independent standard normal entries.
Matrix gaussianMatrix(Rng& rng, Index rows, Index columns);

/// Rows orthonormal, uniformly distributed (Haar).
MatrixD randomRotation(Rng& rng, Index n);

/// exp(-i / (n / 6.4)) + 0.001: a spread of some thousands, as activations have.
Eigen::VectorXd exponentialSpectrum(Index n);

struct NamedCovariance {
    const char* name;
    MatrixD matrix;
};
/// The four covariances of the bars: white, exponential spectrum in its own basis, the same randomly rotated with
/// outlier channels (scales exp(N(0, 1))), the same randomly rotated.
std::vector<NamedCovariance> covariances(Rng& rng, Index n);

/// tr((W - W^) H (W - W^)^T) / (N K)
double distortion(const Matrix& w, const Matrix& approximation, const MatrixD& h);

/// diag(L) of a covariance L L^T.
Eigen::VectorXd factorDiagonal(const MatrixD& covariance);

/// Waterfilling: bits a weight that Gaussian weights of variance 1 need at least for this distortion.
double limitRate(const MatrixD& covariance, double distortion);

/// Mean over columns of the empirical entropy of the codes, bits.
double columnEntropy(const CodeMatrix& codes);

/// Successive cancellation in the words of WaterSIC: Y = W L, from the last column to the first. steps[i] is the step
/// of column i in the units of W; with `gains` the least-squares gain of each column is applied.
struct Cancelled {
    CodeMatrix codes;
    Eigen::VectorXd scales;
};
Cancelled cancelPlainly(const Matrix& w, const MatrixD& h, const Eigen::VectorXd& steps, bool gains);

/// GPTQ as its paper writes it: the upper Cholesky factor of H^-1, first column first, one step for all.
CodeMatrix gptqPlainly(const Matrix& w, const MatrixD& h, double step);

}  // namespace vulcat::test

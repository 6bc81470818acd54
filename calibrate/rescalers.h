#pragma once
// The last step of WaterSIC: with the codes fixed, the best scale of each column and of each row.

#include "calibrate/linear_algebra.h"

#include <vector>

namespace vulcat::calibrate {

struct Rescaled {
    Eigen::VectorXd columns;  ///< gamma [K], relative to the given matrix, clipped to -0.1..1.5 (times the rows' mean)
    Eigen::VectorXd rows;     ///< t [N], of mean |t| = 1; 1 where a row is all zero
    int rounds = 0;           ///< of the alternation
    double error = 0;         ///< what is left of what is minimised
};

/// Minimises tr((W - W^) H (W - W^)^T) over W^ = diag(t) W0 diag(gamma), by turns, until the error changes by less than
/// `tolerance` relative or after `maxRounds`. Both matrices are stored by columns, [K, N]; `hessian` is [K, K].
/// Columns: (H o (W0^T T^2 W0)) gamma = diag(W0^T T C), rows: t_r = (C Gamma W0^T)_rr / (W0 Gamma H Gamma W0^T)_rr,
/// with C = W H. Never makes the error larger. A round costs two products of H and W and a Gram matrix in float, and a
/// Cholesky factor.
Rescaled rescale(const MatrixD& weights, const MatrixD& rounded, const MatrixD& hessian, double tolerance,
                 int maxRounds, int threads);

/// tr((W - W^) H (W - W^)^T), both by columns.
double outputError(const MatrixD& weights, const MatrixD& approximation, const MatrixD& hessian, int threads);

}  // namespace vulcat::calibrate

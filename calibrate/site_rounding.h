#pragma once
// From the transformed float weights of a site to its codes, by the method that was asked for.

#include "calibrate/options.h"
#include "calibrate/site.h"

#include <string>
#include <vector>

namespace vulcat::calibrate {

/// What rounding beyond nearest knows of a site's inputs, behind the transform: x in the float model, x^ in the stream
/// that is quantised so far. Sums over rows.
struct InputMoments {
    MatrixD hessian;  ///< x^ x^^T [K, K]
    MatrixD drift;    ///< (x - x^) x^^T [K, K]; or empty
};

/// W + share W drift (L L^T)^-1, [N, K], with L the lower Cholesky factor of the damped Hessian: with share 1 the
/// weights whose outputs on x^ come nearest to those of W on x, in the least-squares sense. W itself for an empty
/// drift.
Matrix driftCorrected(const Matrix& w, const MatrixD& drift, const MatrixD& factor, double share, int threads);

/// Codes of all linears of a site, given as W T^-1. `energy` [K] is the relative mean square of x per channel
/// (nearest). `moments` counts only beyond nearest. What had to be done about degenerate input is added to `notes`.
std::vector<format::QuantisedMatrix> roundSite(const CalibrateOptions& options, const std::vector<Matrix>& transformed,
                                               const std::vector<float>& energy, const InputMoments& moments,
                                               int threads, std::vector<std::string>& notes);

}  // namespace vulcat::calibrate

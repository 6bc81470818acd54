#pragma once
// What information theory allows: the fewest bits a weight at which Gaussian weights can be told with a given output
// error, whoever codes them (reverse waterfilling).

#include "calibrate/linear_algebra.h"

namespace vulcat::calibrate {

/// Weights W [N, K], independent Gaussians with variance rowVariances[n] in row n; the error of W^ is measured as
/// tr((W - W^) H (W - W^)^T) / (N K) with `spectrum` [K] the eigenvalues of H. Each product of a row's variance and an
/// eigenvalue is a component; those above the water level theta cost 1/2 log2(component / theta) bits, and all together
/// leave the error sum min(component, theta). Returns bits a weight for `distortion`; 0 where no bit is needed.
/// Preconditions: no negative entry (tiny ones count as 0), distortion > 0.
double rateLimit(const Eigen::VectorXd& rowVariances, const Eigen::VectorXd& spectrum, double distortion);

}  // namespace vulcat::calibrate

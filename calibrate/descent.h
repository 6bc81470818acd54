#pragma once
// What GPTQ leaves to gain: it rounds each column once and in order, so the first columns know nothing of the last.
// Coordinate descent goes over the columns again and gives each weight the code that serves best beside all others.

#include "calibrate/linear_algebra.h"

#include "format/quantised_matrix.h"

namespace vulcat::calibrate {

/// Lowers tr((W - W^) (H + damping I) (W - W^)^T) by changing codes of `matrix`, one at a time, for at most `sweeps`
/// turns over a row's columns or until none changes; scales stay. Never makes the error of a row larger. `hessian` [K,
/// K] is symmetric; columns with no positive diagonal (of the sum) keep their codes. The result does not depend on
/// `threads`. Preconditions: shapes agree; code range as in format/quantise.h.
void improveCodes(const Matrix& w, const MatrixD& hessian, double damping, format::QuantisedMatrix& matrix, int sweeps,
                  int threads);

}  // namespace vulcat::calibrate

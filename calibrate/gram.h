#pragma once
// Sums of products of rows, a^T b, over all calibration rows: Hessians and cross moments of a site.

#include "calibrate/matrix.h"

namespace vulcat::calibrate {

/// sum[Ka, Kb] += a^T b for a [T, Ka], b [T, Kb]. Products run in float over at most 256 rows and are merged in double,
/// tile by tile; so the result depends on the order of the calls, never on `threads`.
void addProduct(MatrixD& sum, const Matrix& a, const Matrix& b, int threads);

/// The same for a = b, filling the tiles on and below the diagonal only; mirrorLower() at the end fills the rest.
void addGram(MatrixD& sum, const Matrix& a, int threads);
void mirrorLower(MatrixD& sum);

}  // namespace vulcat::calibrate

#pragma once
// What successive cancellation leaves to gain: it rounds each column once, to the nearest code, and neither looks back
// nor knows what a code costs. Coordinate descent afterwards changes single codes where that lowers
//     tr((W - W^) H (W - W^)^T) + price * bits of the codes,
// bits by the frequencies of each column's codes. Rounding to the nearest point along one path through the lattice is
// 0.254 bit from the limit (the cube); this looks at neighbours and comes nearer wherever columns are correlated.

#include "calibrate/watersic_pass.h"

namespace vulcat::calibrate {

/// The price of a bit in units of c^2: the slope of distortion over rate, -dD/dR = 2 ln 2 D, at D = c^2 / 12.
inline constexpr double kBitPrice = 0.115524530;

/// Changes codes of `pass`, which are those of `weights` [K, N] by columns, one by one and by one; scales stay.
/// `hessian` [K, K] is symmetric, `price` that of one bit in units of the output error. `pass.error` must be the output
/// error and is kept true. Codes beyond +-127 and those at the limit `highestCode` keep their value. The result does
/// not depend on `threads`.
void lowerCost(const MatrixD& weights, const MatrixD& hessian, double price, int32_t highestCode, int threads,
               Cancelled& pass);

}  // namespace vulcat::calibrate

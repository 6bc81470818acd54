#pragma once
// How well a quantised site keeps its outputs: signal to quantisation noise ratio, predicted and measured.
//
// Theory (CAT, arXiv 2603.04359, Theorem 2.4): with rounding errors uniform in their cells and nothing clipped,
//   SQNR(joint) = SQNR_x || SQNR_w,   a || b = 1 / (1/a + 1/b)
//   SQNR_x = 12 N_x^2 C(x) A,   SQNR_w = 12 N_w^2 C(W) A
// N is the number of steps that a grid really spans: 15 for asymmetric 4-bit codes, 14 and 254 for symmetric ones (the
// papers' 2^b - 1 would promise 0.6 dB more at 4 bits). With group scales C(W) weighs each group by the energy of its
// inputs. All in dB; kNoNoise stands for "no noise at all", also where a site carries no signal.

#include "calibrate/report.h"
#include "calibrate/site.h"
#include "calibrate/statistics.h"

#include <vector>

namespace vulcat::calibrate {

inline constexpr double kNoNoise = 300.0;

/// 10 log10(signal / noise), within +-kNoNoise; kNoNoise when noise is 0.
double decibel(double signal, double noise);

/// Judges one quantised site. `rows` [R, K] are inputs before any transform; `weights` are the float linears;
/// `transformed` are W T^-1 (the same as `weights` where there is no transform). Preconditions: R >= 1; linears in the
/// same order. `threads` (as in calibrate/parallel.h) changes no bit of the result, here and below.
SiteQuality judgeSite(const Site& quantised, const std::vector<Linear>& weights, const std::vector<Matrix>& transformed,
                      const Matrix& rows, int threads = 1);

/// The largest alignment (dB) that block-diagonal transforms of this width reach: E||Wx||^2 / (sum of
/// alignmentRoots)^2. `block` 0: any transform (needs whole moments). Moments are sums; `signal` is E||Wx||^2.
double attainableAlignment(const SecondMoments& x, const SecondMoments& w, Eigen::Index block, double signal,
                           int threads);

/// The sum of squares of each column over the rows, relative to the largest, [K]; ones where all are zero.
std::vector<float> relativeMeanSquares(const Matrix& rows);

/// E||Wx||^2 over rows, all linears together, in double.
double meanSignal(const std::vector<Linear>& weights, const Matrix& rows, int threads = 1);

}  // namespace vulcat::calibrate

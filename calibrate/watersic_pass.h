#pragma once
// One pass of WaterSIC over all columns, with the step c given: every column i is rounded in steps of c / L[i,i] and
// gets a least-squares gain. The search for c repeats it on a subset of rows.

#include "calibrate/cancellation.h"

namespace vulcat::calibrate {

struct PassOptions {
    double step = 1;            ///< c
    bool gains = true;          ///< gamma_i = <z, u> / <z, z> with u what was rounded to z; else 1
    int32_t highestCode = 127;  ///< codes are clipped to +-this
    int threads = 1;
};

struct Cancelled {
    CodeMatrix codes;        ///< by columns, [K, N]
    Eigen::VectorXd scales;  ///< [K] of a code: c / L[i,i] * gamma_i
    double error = 0;        ///< tr((W - W^) L L^T (W - W^)^T)
    uint64_t clipped = 0;    ///< codes that were
};

/// `weights` by columns, [K, N], in the order of the factor. `offsets`, of the same shape or empty, is added to the
/// values t that are rounded; `error` is then the sum of (L[i,i] (t - w^))^2 and no longer that of the outputs.
Cancelled cancelWithSteps(const MatrixD& weights, const MatrixD& offsets, const CancellationFactor& factor,
                          const PassOptions& options);

}  // namespace vulcat::calibrate

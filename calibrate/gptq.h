#pragma once
// GPTQ (Frantar et al., arXiv 2210.17323): rounds W to given steps column by column and passes each column's error on
// to the columns not rounded yet, so that the error of the output W x is small rather than that of W. It is successive
// cancellation (calibrate/cancellation.h) with steps that are fixed beforehand; no inverse of the Hessian is formed.

#include "calibrate/cancellation.h"

#include "format/quantised_matrix.h"

#include <limits>
#include <span>

namespace vulcat::calibrate {

struct GptqOptions {
    double damping = 0.01;  ///< of the Hessian, relative to the mean of its diagonal; grows tenfold where needed
    bool actOrder = false;  ///< round columns by descending diagonal of the Hessian, else from the first to the last
    int32_t lowest = -8;    ///< codes are clipped to lowest..highest; the clipping error is passed on like any other
    int32_t highest = 7;
    Eigen::Index block = 128;  ///< columns between two matrix products; changes speed, not codes
    int threads = 0;           ///< never changes a code
};

/// Bounds that no code meets: the uniform variant that theory speaks of and that an entropy coder can follow.
inline constexpr int32_t kUnclipped = 1 << 30;

struct GptqResult {
    CodeMatrix codes;           ///< [N, K]
    Eigen::VectorXd rowErrors;  ///< [N]: (w - w^) H (w - w^)^T of each row, with the damped H
    AddedDamping damping;
    std::vector<Eigen::Index> deadColumns;  ///< inputs that were never seen other than 0: rounded to nearest
};

/// What GPTQ makes of a Hessian, for all matrices that share it.
struct GptqFactor {
    ColumnOrder order;
    CancellationFactor factor;
    std::vector<Eigen::Index> deadColumns;
};

/// Of options only damping, actOrder and threads count. Errors: InvalidArgument when `hessian` is not square or not
/// finite.
GptqFactor gptqFactor(const MatrixD& hessian, const GptqOptions& options);

/// Codes of w [N, K] with w ~ code * scale. `scales` is [N, groups] with groups = 1 for groupSize 0, else
/// ceil(K / groupSize), static (they belong to columns of w, also with actOrder). Codes of a zero scale are 0.
/// `hessian` [K, K] is the second moment of the layer's input, in any scale: T Sigma_x T^T behind a transform.
/// Errors: InvalidArgument when shapes disagree, or for NaN and infinity.
GptqResult gptq(const Matrix& w, const MatrixD& hessian, std::span<const float> scales, Eigen::Index groupSize,
                const GptqOptions& options = {});

GptqResult gptq(const Matrix& w, const GptqFactor& factor, std::span<const float> scales, Eigen::Index groupSize,
                const GptqOptions& options);

/// The same on a quantised matrix that has its scales already: replaces codes and code sums. The code range follows
/// from `matrix.bits` (-8..7 or -127..127); lowest and highest of the options are not used. Returns the result less its
/// codes.
GptqResult gptq(const Matrix& w, const MatrixD& hessian, format::QuantisedMatrix& matrix, GptqOptions options = {});
GptqResult gptq(const Matrix& w, const GptqFactor& factor, format::QuantisedMatrix& matrix, GptqOptions options);

}  // namespace vulcat::calibrate

#pragma once
// WaterSIC (arXiv 2603.04956): successive cancellation whose step in each column is c / L[i,i], so that every column
// contributes the same output error c^2 / 12. Entropy-coded (format/rans.h) this stays 0.25 bit above the
// rate-distortion limit of Gaussian weights at high rate, whatever the covariance and its basis; a descent afterwards,
// which the paper has not, comes 0.01 to 0.03 bit nearer where columns are correlated.
//
// W ~ diag(rowScales) codes diag(columnScales). The order of work:
//   dead inputs dropped · columns ordered by descending variance · H = L L^T, damped · (drift) W replaced by the matrix
//   whose error against the wanted outputs is what H measures · step c found for the wanted rate on a subset of rows ·
//   cancellation with a least-squares gain a column · coordinate descent of error and bits
//   (calibrate/watersic_descent.h) · gains of columns and rows refined together
//   (calibrate/rescalers.h)

#include "calibrate/cancellation.h"

#include "format/rans.h"

#include <optional>
#include <vector>

namespace vulcat::calibrate {

struct WaterSicOptions {
    double rate = 3;              ///< bits a weight, side information (16 a row, 24 a column) included
    std::optional<double> step;   ///< c itself: no search, `rate` is not used
    double damping = 1e-4;        ///< of the covariance, relative to the mean of its diagonal
    double shrinkage = 0.6;       ///< of targets, times step^2 / (12 weight variance); 0: none, as the paper has it
    double deadBelow = 1e-3;      ///< inputs whose variance is below this share of the median are dropped
    bool orderByVariance = true;  ///< else columns stay in their order
    bool gains = true;            ///< least-squares gain of each column while cancelling
    bool descent = true;          ///< codes are changed afterwards where error and bits together fall; not in the paper
    bool rescale = true;          ///< refine the scales of columns and rows afterwards
    bool roundScales = true;      ///< scales are fp16 numbers times one power of two for all columns, one for all rows
    int32_t highestCode = 127;  ///< codes are clipped to +-this; at most format::kMaxCode; 127 fits the runtime's int8
    double searchShare = 0.1;   ///< of the rows, for the search (at least 256)
    double searchTolerance = 0.005;  ///< bits
    int threads = 0;                 ///< never changes a bit of the result
};

/// What the layer's output should be when its input x^ comes from a model that is quantised already, while the wanted
/// output is that of the float input x: W^ x^ should be near W x + (difference of the residual streams).
struct DriftCorrection {
    const MatrixD* cross = nullptr;     ///< E[x x^T] with x float and x^ quantised, [K, K]; null: no drift
    const MatrixD* residual = nullptr;  ///< E[(R - R^) x^T], [N, K]; null: none
};

struct WaterSicResult {
    CodeMatrix codes;                       ///< [N, K]; columns of dead inputs are 0
    std::vector<float> columnScales;        ///< [K]; 0 for dead inputs
    std::vector<float> rowScales;           ///< [N]
    std::vector<Eigen::Index> deadColumns;  ///< in ascending order
    AddedDamping damping;
    double step = 0;         ///< c
    double codeBits = 0;     ///< bits a weight of the codes under their column models
    double sideBits = 0;     ///< bits a weight of scales, models and the list of dead columns
    double outputError = 0;  ///< tr((W - W^) H (W - W^)^T) / (N K) with the damped H; dead inputs and the rounding of
                             ///< scales not counted
    uint64_t clippedCodes = 0;
    int searchRuns = 0;
    int rescaleRounds = 0;

    double rate() const { return codeBits + sideBits; }
    /// [N, K]
    Matrix dequantised() const;
};

/// Rounds w [N, K]. `covariance` [K, K] is the second moment of the input the layer will really see (with drift: that
/// of the quantised stream). Errors: InvalidArgument when shapes disagree or values are NaN or infinite.
WaterSicResult waterSic(const Matrix& w, const MatrixD& covariance, const format::ColumnModels& models,
                        const WaterSicOptions& options = {}, const DriftCorrection& drift = {});

}  // namespace vulcat::calibrate

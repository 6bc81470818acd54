#include "calibrate/watersic_pass.h"

#include "calibrate/parallel.h"

#include <algorithm>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;
using RowArray = Eigen::Map<Eigen::Array<double, 1, Eigen::Dynamic>>;

/// Columns between two products over all that went before, and between two products inside those.
constexpr Index kBlock = 128;
constexpr Index kSubBlock = 16;
/// Rows of a product's tile.
constexpr Index kTileRows = 256;

/// One pass over all columns of weights given by columns, [K, N]. Gains tie all rows of a column together, so columns
/// run one after another on the calling thread; the products between them carry nearly all of the work and are spread.
class Cancellation {
  public:
    Cancellation(const MatrixD& weights, const MatrixD& offsets, const CancellationFactor& factor,
                 const PassOptions& options)
        : offsets_(offsets),
          factor_(factor),
          options_(options),
          rows_(weights.cols()),
          errors_(weights),
          targets_(std::min(kBlock, weights.rows()), rows_),
          scratch_(2, rows_) {
        result_.codes.resize(weights.rows(), rows_);
        result_.scales.resize(weights.rows());
    }

    Cancelled run() {
        const SerialBlas serial;
        const Index n = errors_.rows();
        for (Index hi = n; hi > 0; hi -= std::min(hi, kBlock)) {
            const Index lo = std::max(hi - kBlock, Index{0});
            targets_.topRows(hi - lo) = errors_.middleRows(lo, hi - lo);
            if (offsets_.size() > 0) targets_.topRows(hi - lo) += offsets_.middleRows(lo, hi - lo);
            cancel(lo, hi, hi, n, lo);
            for (Index to = hi; to > lo; to -= std::min(kSubBlock, to - lo)) {
                const Index from = std::max(to - kSubBlock, lo);
                cancel(from, to, to, hi, lo);
                for (Index i = to - 1; i >= from; --i) roundColumn(i, from, lo);
            }
        }
        return std::move(result_);
    }

  private:
    void cancel(Index lo, Index hi, Index from, Index to, Index blockBegin) {
        if (from >= to) return;
        parallelFor(static_cast<size_t>((rows_ + kTileRows - 1) / kTileRows), options_.threads, [&](size_t tile) {
            const Index first = static_cast<Index>(tile) * kTileRows;
            cancelErrors(factor_.unitLower, lo, hi, from, to, errors_.data() + first, rows_,
                         targets_.data() + (lo - blockBegin) * rows_ + first, rows_, std::min(kTileRows, rows_ - first));
        });
    }

    void roundColumn(Index i, Index from, Index lo) {
        const double alpha = options_.step / factor_.diagonal[i];
        const double limit = options_.highestCode;
        RowArray target(targets_.row(i - lo).data(), rows_);
        RowArray error(errors_.row(i).data(), rows_);
        RowArray ratio(scratch_.row(0).data(), rows_);
        RowArray code(scratch_.row(1).data(), rows_);
        ratio = target / alpha;
        code = roundedToEven(ratio.max(-limit).min(limit));
        result_.clipped += static_cast<uint64_t>((ratio.abs() > limit + 0.5).count());
        const double energy = code.square().sum();
        const double gain = !options_.gains ? 1.0 : (energy > 0 ? (code * ratio).sum() / energy : 0.0);
        const double scale = alpha * gain;
        result_.scales[i] = scale;
        result_.codes.row(i) = code.cast<int32_t>().matrix();
        error -= scale * code;
        result_.error += factor_.diagonal[i] * factor_.diagonal[i] * (target - scale * code).square().sum();
        const double* factorRow = factor_.unitLower.data() + i * factor_.unitLower.cols();
        for (Index j = from; j < i; ++j) RowArray(targets_.row(j - lo).data(), rows_) += factorRow[j] * error;
    }

    const MatrixD& offsets_;
    const CancellationFactor& factor_;
    const PassOptions& options_;
    Index rows_;
    MatrixD errors_;   ///< [K, N]: w before a column is rounded, its error after
    MatrixD targets_;  ///< [block, N]
    MatrixD scratch_;  ///< [2, N]
    Cancelled result_;
};

}  // namespace

Cancelled cancelWithSteps(const MatrixD& weights, const MatrixD& offsets, const CancellationFactor& factor,
                          const PassOptions& options) {
    return Cancellation(weights, offsets, factor, options).run();
}

}  // namespace vulcat::calibrate

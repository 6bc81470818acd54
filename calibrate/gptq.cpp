#include "calibrate/gptq.h"

#include "calibrate/parallel.h"

#include "base/error.h"

#include <algorithm>
#include <numeric>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

/// Rows of a work item: a tile of kSub columns then stays in the first-level cache.
constexpr Index kRows = 256;
/// Columns between two products inside a block.
constexpr Index kSub = 16;

using RowArray = Eigen::Map<Eigen::Array<double, 1, Eigen::Dynamic>>;

struct Problem {
    const Matrix& w;
    std::span<const float> scales;
    Index groupSize;
    Index groups;
    const GptqOptions& options;
    const ColumnOrder& order;
    const CancellationFactor& factor;
    CodeMatrix& codes;
    Eigen::VectorXd& rowErrors;
};

/// One piece of rows, all columns.
class Piece {
  public:
    Piece(const Problem& problem, Index first, Index rows)
        : p_(problem),
          first_(first),
          rows_(rows),
          errors_(problem.w.cols(), rows),
          targets_(std::min(problem.options.block, problem.w.cols()), rows),
          codes_(targets_.rows(), rows),
          steps_(problem.groups, rows),
          scratch_(1, rows),
          sums_(MatrixD::Zero(1, rows)) {
        gatherColumns(p_.w, p_.order, first, rows, errors_.data());
        for (Index r = 0; r < rows; ++r)
            for (Index g = 0; g < p_.groups; ++g)
                steps_(g, r) = static_cast<double>(p_.scales[static_cast<size_t>((first + r) * p_.groups + g)]);
    }

    void run() {
        const Index block = p_.options.block;
        for (Index hi = p_.w.cols(); hi > 0; hi -= std::min(hi, block)) roundBlock(std::max(hi - block, Index{0}), hi);
        p_.rowErrors.segment(first_, rows_) = sums_.row(0).transpose();
    }

  private:
    void roundBlock(Index lo, Index hi) {
        const Index n = p_.w.cols();
        targets_.topRows(hi - lo) = errors_.middleRows(lo, hi - lo);
        cancelErrors(p_.factor.unitLower, lo, hi, hi, n, errors_.data(), rows_, targets_.data(), rows_, rows_);
        for (Index to = hi; to > lo; to -= std::min(kSub, to - lo)) {
            const Index from = std::max(to - kSub, lo);
            cancelErrors(p_.factor.unitLower, from, to, to, hi, errors_.data(), rows_,
                         targets_.data() + (from - lo) * rows_, rows_, rows_);
            for (Index i = to - 1; i >= from; --i) roundColumn(i, from, lo);
        }
        for (Index r = 0; r < rows_; ++r)
            for (Index i = lo; i < hi; ++i)
                p_.codes(first_ + r, p_.order[static_cast<size_t>(i)]) = static_cast<int32_t>(codes_(i - lo, r));
    }

    /// Column at position i; columns from..i of the block learn of its error at once.
    void roundColumn(Index i, Index from, Index lo) {
        const Index group = p_.groupSize == 0 ? 0 : p_.order[static_cast<size_t>(i)] / p_.groupSize;
        RowArray target(targets_.row(i - lo).data(), rows_);
        RowArray code(codes_.row(i - lo).data(), rows_);
        RowArray error(errors_.row(i).data(), rows_);
        const RowArray step(steps_.row(group).data(), rows_);
        // Bounds are integers, so clipping before rounding gives the codes of clipping after it. t / 0 is infinite or
        // NaN: the select replaces it.
        scratch_.array() = target / step;
        scratch_.array() = (step > 0).select(scratch_.array(), 0.0);
        scratch_.array() =
            scratch_.array().max(static_cast<double>(p_.options.lowest)).min(static_cast<double>(p_.options.highest));
        code = roundedToEven(scratch_.array());
        error -= code * step;
        scratch_.array() = target - code * step;
        sums_.array() += p_.factor.diagonal[i] * p_.factor.diagonal[i] * scratch_.array().square();
        const double* factorRow = p_.factor.unitLower.data() + i * p_.factor.unitLower.cols();
        for (Index j = from; j < i; ++j) RowArray(targets_.row(j - lo).data(), rows_) += factorRow[j] * error;
    }

    const Problem& p_;
    Index first_;
    Index rows_;
    MatrixD errors_;   ///< [K, rows]: w before a column is rounded, its error after
    MatrixD targets_;  ///< [block, rows]
    MatrixD codes_;    ///< [block, rows]
    MatrixD steps_;    ///< [groups, rows]
    MatrixD scratch_;  ///< [1, rows]
    MatrixD sums_;     ///< [1, rows]: output error so far
};

void checkArguments(const Matrix& w, const GptqFactor& factor, std::span<const float> scales, Index groups,
                    const GptqOptions& options) {
    if (static_cast<Index>(factor.order.size()) != w.cols())
        throw Error(Result::InvalidArgument, "the Hessian of GPTQ must be [" + std::to_string(w.cols()) + ", " +
                                                 std::to_string(w.cols()) + "] like the weight's inputs");
    if (scales.size() != static_cast<size_t>(w.rows() * groups))
        throw Error(Result::InvalidArgument, "GPTQ needs one scale a row and group of the weight");
    if (options.block < 1 || options.lowest > 0 || options.highest < 0)
        throw Error(Result::InvalidArgument, "GPTQ needs block >= 1 and a code range around 0");
    const bool finiteScales = std::all_of(scales.begin(), scales.end(), [](float s) { return s >= 0 && s <= 3e38f; });
    if (!w.allFinite() || !finiteScales)
        throw Error(Result::InvalidArgument, "a weight or scale given to GPTQ is negative, NaN or infinite");
}

GptqOptions forBits(GptqOptions options, int bits) {
    options.lowest = bits == 4 ? -8 : -127;
    options.highest = bits == 4 ? 7 : 127;
    return options;
}

}  // namespace

GptqFactor gptqFactor(const MatrixD& hessian, const GptqOptions& options) {
    if (hessian.rows() != hessian.cols()) throw Error(Result::InvalidArgument, "the Hessian of GPTQ must be square");
    GptqFactor result;
    for (Index i = 0; i < hessian.rows(); ++i)
        if (!(hessian(i, i) > 0)) result.deadColumns.push_back(i);
    // Position K-1 goes first: ascending diagonal puts the largest there, and reversal keeps the natural order.
    result.order.resize(static_cast<size_t>(hessian.rows()));
    if (options.actOrder)
        result.order = descendingOrder(hessian.diagonal());
    else
        std::iota(result.order.begin(), result.order.end(), Index{0});
    std::reverse(result.order.begin(), result.order.end());
    result.factor = cancellationFactor(reordered(hessian, result.order), options.damping, threadCount(options.threads));
    return result;
}

GptqResult gptq(const Matrix& w, const GptqFactor& factor, std::span<const float> scales, Index groupSize,
                const GptqOptions& options) {
    const Index groups = groupSize == 0 ? 1 : (w.cols() + groupSize - 1) / groupSize;
    checkArguments(w, factor, scales, groups, options);
    GptqResult result;
    result.codes.resize(w.rows(), w.cols());
    result.rowErrors.resize(w.rows());
    result.damping = factor.factor.damping;
    result.deadColumns = factor.deadColumns;
    const Problem problem{
        w, scales, groupSize, groups, options, factor.order, factor.factor, result.codes, result.rowErrors};
    const SerialBlas serial;
    parallelFor(static_cast<size_t>((w.rows() + kRows - 1) / kRows), threadCount(options.threads), [&](size_t i) {
        const Index first = static_cast<Index>(i) * kRows;
        Piece(problem, first, std::min(kRows, w.rows() - first)).run();
    });
    return result;
}

GptqResult gptq(const Matrix& w, const MatrixD& hessian, std::span<const float> scales, Index groupSize,
                const GptqOptions& options) {
    return gptq(w, gptqFactor(hessian, options), scales, groupSize, options);
}

GptqResult gptq(const Matrix& w, const GptqFactor& factor, format::QuantisedMatrix& matrix, GptqOptions options) {
    if (matrix.rows != static_cast<uint64_t>(w.rows()) || matrix.columns != static_cast<uint64_t>(w.cols()))
        throw Error(Result::InvalidArgument, "GPTQ was given a quantised matrix of another shape than its weight");
    const Index groupSize = static_cast<Index>(matrix.groupSize);
    GptqResult result = gptq(w, factor, matrix.scales, groupSize, forBits(options, matrix.bits));
    const Index groups = static_cast<Index>(matrix.groups());
    matrix.codes.resize(static_cast<size_t>(w.size()));
    matrix.codeSums.assign(static_cast<size_t>(w.rows() * groups), 0);
    for (Index r = 0; r < w.rows(); ++r)
        for (Index i = 0; i < w.cols(); ++i) {
            const int32_t code = result.codes(r, i);
            matrix.codes[static_cast<size_t>(r * w.cols() + i)] = static_cast<int8_t>(code);
            matrix.codeSums[static_cast<size_t>(r * groups + (groupSize == 0 ? 0 : i / groupSize))] += code;
        }
    result.codes.resize(0, 0);
    return result;
}

GptqResult gptq(const Matrix& w, const MatrixD& hessian, format::QuantisedMatrix& matrix, GptqOptions options) {
    return gptq(w, gptqFactor(hessian, options), matrix, options);
}

}  // namespace vulcat::calibrate

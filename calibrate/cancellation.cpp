#include "calibrate/cancellation.h"

#include "calibrate/parallel.h"

#include <algorithm>
#include <numeric>

namespace vulcat::calibrate {

using Eigen::Index;

ColumnOrder descendingOrder(const Eigen::VectorXd& values) {
    ColumnOrder order(static_cast<size_t>(values.size()));
    std::iota(order.begin(), order.end(), Index{0});
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return values[a] > values[b]; });
    return order;
}

MatrixD reordered(const MatrixD& h, const ColumnOrder& order) {
    const Index n = static_cast<Index>(order.size());
    MatrixD out(n, n);
    for (Index i = 0; i < n; ++i) {
        const double* row = h.data() + order[static_cast<size_t>(i)] * h.cols();
        for (Index j = 0; j < n; ++j) out(i, j) = row[order[static_cast<size_t>(j)]];
    }
    return out;
}

CancellationFactor cancellationFactor(MatrixD h, double relativeDamping, int threads) {
    CancellationFactor factor;
    factor.unitLower = std::move(h);
    factor.damping = dampedCholesky(factor.unitLower, relativeDamping, threads);
    factor.diagonal = factor.unitLower.diagonal();
    const Eigen::RowVectorXd inverse = factor.diagonal.cwiseInverse().transpose();
    const Index n = factor.unitLower.rows();
    for (Index i = 0; i < n; ++i) {
        factor.unitLower.row(i).head(i).array() *= inverse.head(i).array();
        factor.unitLower(i, i) = 1;
    }
    return factor;
}

void gatherColumns(const Matrix& w, const ColumnOrder& order, Index first, Index count, double* out) {
    const Index n = static_cast<Index>(order.size());
    // Tiles keep both sides of the transposition in the cache.
    constexpr Index kRows = 32;
    for (Index r = 0; r < count; r += kRows) {
        const Index rows = std::min(kRows, count - r);
        for (Index p = 0; p < n; ++p) {
            const float* column = w.data() + (first + r) * w.cols() + order[static_cast<size_t>(p)];
            double* to = out + p * count + r;
            for (Index i = 0; i < rows; ++i) to[i] = static_cast<double>(column[i * w.cols()]);
        }
    }
}

void cancelErrors(const MatrixD& unitLower, Index lo, Index hi, Index from, Index to, const double* errors,
                  Index errorStride, double* targets, Index targetStride, Index rows) {
    if (from >= to) return;
    multiplyAdd(true, hi - lo, rows, to - from, unitLower.data() + from * unitLower.cols() + lo, unitLower.cols(),
                errors + from * errorStride, errorStride, targets, targetStride, true);
}

}  // namespace vulcat::calibrate

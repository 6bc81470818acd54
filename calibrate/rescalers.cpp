#include "calibrate/rescalers.h"

#include "calibrate/parallel.h"

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

constexpr double kLowestGain = -0.1;
constexpr double kHighestGain = 1.5;
constexpr Index kPieceRows = 256;  // of W in one product
constexpr Index kGainTile = 512;   // of the columns' system

/// Products run in float on pieces of fixed size: half the time of double, and the same bits for any number of threads.
/// What is summed up over them is in double, and the error left is told from products with the error itself, not as the
/// small difference of large energies.
class Alternation {
  public:
    Alternation(const MatrixD& weights, const MatrixD& rounded, const MatrixD& hessian, int threads)
        : weights_(weights), rounded_(rounded), hessian_(hessian), floats_(hessian.cast<float>()), threads_(threads) {
        state_.columns = Eigen::VectorXd::Ones(rounded.rows());
        state_.rows = Eigen::VectorXd::Ones(rounded.cols());
        slopes_ = slopesOf(state_, state_.error);
    }

    /// One turn of both; true while it pays.
    bool improve(double tolerance) {
        Rescaled next{state_.columns, state_.rows, state_.rounds + 1, state_.error};
        MatrixD system = columnSystem();
        // Columns of zeros leave rows of zeros, which the ridge gives no change.
        dampedCholesky(system, 1e-8, threads_);
        MatrixD change = slopes_.transpose();
        solveRightTransposed(system, change, 1);
        solveRight(system, change, 1);
        Eigen::VectorXd gains = (change.transpose().array() + 1).cwiseMax(kLowestGain).cwiseMin(kHighestGain);
        gains.array() -= 1;
        next.error += (system.transpose() * gains).squaredNorm() - 2 * gains.dot(slopes_);
        next.columns.array() *= gains.array() + 1;
        next.error -= solveRows(next.columns, next.rows);
        const double mean = next.rows.size() > 0 ? next.rows.cwiseAbs().mean() : 0;
        if (!(mean > 0) || !(next.error < state_.error)) return false;
        next.rows /= mean;
        next.columns *= mean;
        const bool more = state_.error - next.error > tolerance * state_.error;
        state_ = std::move(next);
        if (more) slopes_ = slopesOf(state_, state_.error);
        return more;
    }

    const Rescaled& state() const { return state_; }

  private:
    /// Rows [first, first + count) of W^ and of W - W^, scaled as told, [count, K].
    void gather(const Eigen::VectorXd& columns, const Eigen::VectorXd& rows, Index first, Matrix& approximation,
                Matrix& errors) const {
        const Index count = approximation.rows();
        for (Index k = 0; k < rounded_.rows(); ++k)
            for (Index r = 0; r < count; ++r) {
                const double value = rows[first + r] * columns[k] * rounded_(k, first + r);
                approximation(r, k) = static_cast<float>(value);
                errors(r, k) = static_cast<float>(weights_(k, first + r) - value);
            }
    }

    template <class Work>
    void overPieces(const Work& work) const {
        const SerialBlas serial;
        const Index rows = rounded_.cols();
        parallelFor(static_cast<size_t>((rows + kPieceRows - 1) / kPieceRows), threads_, [&](size_t piece) {
            const Index first = static_cast<Index>(piece) * kPieceRows;
            work(piece, first, std::min(kPieceRows, rows - first));
        });
    }

    /// diag(W^^T (W - W^) H): half the slope of the error, negated, along each column's gain. Sets the error too.
    Eigen::VectorXd slopesOf(const Rescaled& state, double& error) const {
        const Index columns = rounded_.rows(), pieces = (rounded_.cols() + kPieceRows - 1) / kPieceRows;
        MatrixD slopes = MatrixD::Zero(pieces, columns);
        Eigen::VectorXd sums = Eigen::VectorXd::Zero(pieces);
        overPieces([&](size_t piece, Index first, Index count) {
            Matrix approximation(count, columns), errors(count, columns);
            gather(state.columns, state.rows, first, approximation, errors);
            const Matrix image = multiplyTransposed(errors, floats_);  // H is symmetric
            const auto at = static_cast<Index>(piece);
            for (Index r = 0; r < count; ++r) {
                slopes.row(at) += approximation.row(r).cwiseProduct(image.row(r)).cast<double>();
                sums[at] += errors.row(r).cwiseProduct(image.row(r)).cast<double>().sum();
            }
        });
        error = sums.sum();
        return slopes.colwise().sum().transpose();
    }

    /// H o (W^^T W^), the lower triangle and what of the upper shares its tiles.
    MatrixD columnSystem() const {
        const Index columns = rounded_.rows(), rows = rounded_.cols();
        Matrix scaled = rounded_.cast<float>();
        scaled.array().colwise() *= state_.columns.cast<float>().array();
        scaled.array().rowwise() *= state_.rows.cast<float>().transpose().array();
        MatrixD system = hessian_;
        std::vector<std::pair<Index, Index>> tiles;
        for (Index i = 0; i < columns; i += kGainTile)
            for (Index j = 0; j <= i; j += kGainTile) tiles.emplace_back(i, j);
        const SerialBlas serial;
        parallelFor(tiles.size(), threads_, [&](size_t t) {
            const Index i = tiles[t].first, j = tiles[t].second;
            const Index m = std::min(kGainTile, columns - i), n = std::min(kGainTile, columns - j);
            Matrix gram(m, n);
            multiplyTransposed(scaled.data() + i * rows, rows, scaled.data() + j * rows, rows, gram.data(), n, m, n,
                               rows);
            system.block(i, j, m, n).array() *= gram.cast<double>().array();
        });
        return system;
    }

    /// The best scale of each row, relative to what it has; returns by how much the error falls.
    double solveRows(const Eigen::VectorXd& columns, Eigen::VectorXd& rows) const {
        const Index width = rounded_.rows();
        Eigen::VectorXd gains = Eigen::VectorXd::Zero(rows.size()), factors = Eigen::VectorXd::Ones(rows.size());
        overPieces([&](size_t, Index first, Index count) {
            Matrix approximation(count, width), errors(count, width);
            gather(columns, rows, first, approximation, errors);
            const Matrix image = multiplyTransposed(approximation, floats_);
            for (Index r = 0; r < count; ++r) {
                const double own = approximation.row(r).cwiseProduct(image.row(r)).cast<double>().sum();
                const double cross = errors.row(r).cwiseProduct(image.row(r)).cast<double>().sum();
                if (!(own > 0)) continue;
                factors[first + r] = 1 + cross / own;
                gains[first + r] = cross * cross / own;
            }
        });
        rows.array() *= factors.array();
        return gains.sum();
    }

    const MatrixD& weights_;
    const MatrixD& rounded_;
    const MatrixD& hessian_;
    Matrix floats_;  ///< the Hessian
    int threads_;
    Rescaled state_;
    Eigen::VectorXd slopes_;
};

}  // namespace

Rescaled rescale(const MatrixD& weights, const MatrixD& rounded, const MatrixD& hessian, double tolerance,
                 int maxRounds, int threads) {
    Alternation alternation(weights, rounded, hessian, threads);
    for (int round = 0; round < maxRounds && alternation.improve(tolerance); ++round) {
    }
    return alternation.state();
}

double outputError(const MatrixD& weights, const MatrixD& approximation, const MatrixD& hessian, int threads) {
    const MatrixD difference = weights - approximation;
    return (difference.array() * product(hessian, difference, threads).array()).sum();
}

}  // namespace vulcat::calibrate

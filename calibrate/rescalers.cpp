#include "calibrate/rescalers.h"

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

constexpr double kLowestGain = -0.1;
constexpr double kHighestGain = 1.5;

class Alternation {
  public:
    Alternation(const MatrixD& weights, const MatrixD& rounded, const MatrixD& hessian, int threads)
        : rounded_(rounded),
          hessian_(hessian),
          threads_(threads),
          target_(product(hessian, weights, threads)),
          energy_((weights.array() * target_.array()).sum()) {
        state_.columns = Eigen::VectorXd::Ones(rounded.rows());
        state_.rows = Eigen::VectorXd::Ones(rounded.cols());
        error_ = errorOf(state_.columns, state_.rows, nullptr);
    }

    /// One turn of both; true while it pays.
    bool improve(double tolerance) {
        Rescaled next{solveColumns(), state_.rows, state_.rounds + 1};
        double error = errorOf(next.columns, next.rows, &next.rows);
        const double mean = next.rows.size() > 0 ? next.rows.cwiseAbs().mean() : 0;
        if (!(mean > 0) || !(error < error_)) return false;
        next.rows /= mean;
        next.columns *= mean;
        const bool more = error_ - error > tolerance * error_;
        state_ = std::move(next);
        error_ = error;
        return more;
    }

    const Rescaled& state() const { return state_; }

  private:
    Eigen::VectorXd solveColumns() {
        MatrixD scaled = rounded_;
        scaled.array().rowwise() *= state_.rows.transpose().array();
        const Eigen::VectorXd wanted = (scaled.array() * target_.array()).rowwise().sum();
        MatrixD system = product(scaled, scaled.transpose(), threads_);
        system.array() *= hessian_.array();
        // Columns of zeros leave rows of zeros, which the ridge gives the gain 0.
        dampedCholesky(system, 1e-8, threads_);
        MatrixD solution = wanted.transpose();
        solveRightTransposed(system, solution, 1);
        solveRight(system, solution, 1);
        return solution.transpose().cwiseMax(kLowestGain).cwiseMin(kHighestGain);
    }

    /// The error with these scales; with `best` given, the best rows replace them first.
    double errorOf(const Eigen::VectorXd& columns, const Eigen::VectorXd& rows, Eigen::VectorXd* best) const {
        MatrixD scaled = rounded_;
        scaled.array().colwise() *= columns.array();
        const Eigen::VectorXd cross = (scaled.array() * target_.array()).colwise().sum();
        const MatrixD image = product(hessian_, scaled, threads_);
        const Eigen::VectorXd own = (scaled.array() * image.array()).colwise().sum();
        double error = energy_;
        for (Index r = 0; r < own.size(); ++r) {
            const double t = best == nullptr ? rows[r] : (own[r] > 0 ? cross[r] / own[r] : 1.0);
            if (best != nullptr) (*best)[r] = t;
            error += t * (t * own[r] - 2 * cross[r]);
        }
        return error;
    }

    const MatrixD& rounded_;
    const MatrixD& hessian_;
    int threads_;
    MatrixD target_;  ///< C by columns
    double energy_;   ///< tr(W H W^T)
    double error_ = 0;
    Rescaled state_;
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

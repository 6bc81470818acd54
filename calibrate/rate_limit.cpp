#include "calibrate/rate_limit.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace vulcat::calibrate {

namespace {

/// Sums over the eigenvalues above and below a level, each in the time of a binary search.
class SpectrumSums {
  public:
    explicit SpectrumSums(const Eigen::VectorXd& spectrum) : values_(spectrum.begin(), spectrum.end()) {
        for (double& value : values_) value = std::max(value, 0.0);
        std::sort(values_.begin(), values_.end());
        below_.push_back(0);
        for (const double value : values_) below_.push_back(below_.back() + value);
        logsAbove_.assign(values_.size() + 1, 0);
        for (size_t i = values_.size(); i-- > 0;)
            logsAbove_[i] = logsAbove_[i + 1] + (values_[i] > 0 ? std::log2(values_[i]) : 0.0);
    }

    double total() const { return below_.back(); }
    /// sum min(value, level)
    double clipped(double level) const {
        const size_t first = firstAbove(level);
        return below_[first] + level * static_cast<double>(values_.size() - first);
    }
    /// sum of log2(value / level) over the values above the level
    double logs(double level) const {
        const size_t first = firstAbove(level);
        return logsAbove_[first] - std::log2(level) * static_cast<double>(values_.size() - first);
    }

  private:
    size_t firstAbove(double level) const {
        return static_cast<size_t>(std::upper_bound(values_.begin(), values_.end(), level) - values_.begin());
    }

    std::vector<double> values_, below_, logsAbove_;
};

}  // namespace

double rateLimit(const Eigen::VectorXd& rowVariances, const Eigen::VectorXd& spectrum, double distortion) {
    const SpectrumSums sums(spectrum);
    const double weights = static_cast<double>(rowVariances.size()) * static_cast<double>(spectrum.size());
    const double variance = rowVariances.cwiseMax(0.0).sum();
    if (!(weights > 0) || variance * sums.total() <= distortion * weights) return 0;
    const auto errorAt = [&](double theta) {
        double error = 0;
        for (const double v : rowVariances)
            if (v > 0) error += v * sums.clipped(theta / v);
        return error;
    };
    // The error grows with theta, and is the whole energy at the largest component.
    double low = 0, high = rowVariances.maxCoeff() * spectrum.maxCoeff();
    for (int i = 0; i < 100 && high - low > 1e-12 * high; ++i) {
        const double middle = 0.5 * (low + high);
        (errorAt(middle) < distortion * weights ? low : high) = middle;
    }
    double bits = 0;
    for (const double v : rowVariances)
        if (v > 0) bits += 0.5 * sums.logs(high / v);
    return bits / weights;
}

}  // namespace vulcat::calibrate

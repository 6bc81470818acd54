#pragma once
// How long frames took, as the percentiles that a player feels.

#include <algorithm>
#include <cstddef>
#include <vector>

class FrameTimes {
  public:
    void add(double ms) { ms_.push_back(ms); }
    size_t count() const { return ms_.size(); }
    /// The time that `percent` of the frames do not exceed. Precondition: there is a frame.
    double percentile(double percent) const {
        std::vector<double> sorted = ms_;
        std::sort(sorted.begin(), sorted.end());
        const auto index = static_cast<size_t>(percent / 100.0 * static_cast<double>(sorted.size()));
        return sorted[std::min(index, sorted.size() - 1)];
    }

  private:
    std::vector<double> ms_;
};

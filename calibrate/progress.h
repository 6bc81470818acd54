#pragma once
// Progress of long work: one callback for all of it, with the time that is left.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace vulcat::calibrate {

/// What is being done and how far it is. `done` and `total` are work units of equal expected cost, not files or layers.
struct ProgressUpdate {
    std::string stage;               ///< e.g. "layer 3 of 16: statistics"
    uint64_t done = 0;               ///< units finished
    uint64_t total = 0;              ///< units altogether, at least 1
    double elapsedSeconds = 0.0;     ///< since the work began
    double remainingSeconds = -1.0;  ///< the expected rest; negative while too little is known
};

/// Called from the thread that started the work, never concurrently; may be empty. What it throws ends the work.
using Progress = std::function<void(const ProgressUpdate&)>;

/// Counts units and calls back with times. Units that were already done when the work began (a resumed run) are
/// announced with `skip` so that they do not spoil the rate.
class ProgressMeter {
  public:
    ProgressMeter(Progress callback, uint64_t totalUnits);

    /// Names the present stage and calls back at once.
    void stage(std::string name);
    /// Adds finished units and calls back.
    void advance(uint64_t units);
    /// Adds units that cost no time in this run.
    void skip(uint64_t units);

  private:
    void report() const;

    Progress callback_;
    std::string stage_;
    uint64_t done_ = 0;
    uint64_t skipped_ = 0;
    uint64_t total_ = 1;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace vulcat::calibrate

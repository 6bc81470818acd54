#pragma once
// How long a device takes for a recording, as `vulcat bench --kernels` measures it.

#include "vk/recorder.h"

#include <chrono>
#include <functional>

namespace vulcat::cli {

struct Timing {
    double median = 0, lowest = 0, highest = 0;  ///< seconds of one execution
};

/// Runs a recording that executes a kernel several times, until some seconds have passed; the first run, in which some
/// drivers compile, does not count.
class Stopwatch {
  public:
    explicit Stopwatch(vk::Device& device) : device_(device), recorder_(device) {}

    /// `record` adds one execution to a recording. At least three runs. Throws Error(Cancelled) when interrupted.
    Timing time(double seconds, const std::function<void(vk::Recorder&)>& record);

  private:
    using Clock = std::chrono::steady_clock;

    /// A GPU that has waited, for uploads or a compiler, runs at a fraction of its clocks, and takes half a second of work to
    /// raise them.
    void wake(const std::function<void(vk::Recorder&)>& record);
    double run(const std::function<void(vk::Recorder&)>& record, int batch);

    vk::Device& device_;
    vk::Recorder recorder_;
    Clock::time_point lastEnd_{};               ///< of the device's last work
    std::chrono::duration<double> lastPause_{};  ///< before it
};

}  // namespace vulcat::cli

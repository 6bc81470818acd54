#include "calibrate/progress.h"

#include <algorithm>
#include <utility>

namespace vulcat::calibrate {

ProgressMeter::ProgressMeter(Progress callback, uint64_t totalUnits)
    : callback_(std::move(callback)),
      total_(std::max<uint64_t>(totalUnits, 1)),
      start_(std::chrono::steady_clock::now()) {}

void ProgressMeter::stage(std::string name) {
    stage_ = std::move(name);
    report();
}

void ProgressMeter::advance(uint64_t units) {
    done_ = std::min(done_ + units, total_);
    report();
}

void ProgressMeter::skip(uint64_t units) {
    done_ = std::min(done_ + units, total_);
    skipped_ = std::min(skipped_ + units, done_);
}

void ProgressMeter::report() const {
    if (!callback_) return;
    ProgressUpdate update{stage_, done_, total_};
    update.elapsedSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const uint64_t worked = done_ - skipped_;
    if (worked > 0)
        update.remainingSeconds =
            update.elapsedSeconds * static_cast<double>(total_ - done_) / static_cast<double>(worked);
    callback_(update);
}

}  // namespace vulcat::calibrate

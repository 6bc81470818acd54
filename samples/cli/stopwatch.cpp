#include "cli/stopwatch.h"

#include "cli/command.h"

#include <algorithm>
#include <vector>

namespace vulcat::cli {

Timing Stopwatch::time(double seconds, const std::function<void(vk::Recorder&)>& record) {
    stopIfInterrupted();
    run(record, 1);
    wake(record);
    // Submission costs tens of microseconds: short kernels are repeated inside one recording.
    constexpr double kLeastSeconds = 0.002;
    int batch = 1;
    while (run(record, batch) < kLeastSeconds && batch < 1024) batch *= 2;
    std::vector<double> samples;
    for (double spent = 0; samples.size() < 3 || spent < seconds;) {
        stopIfInterrupted();
        const double elapsed = run(record, batch);
        samples.push_back(elapsed / batch);
        spent += elapsed;
    }
    std::sort(samples.begin(), samples.end());
    return {samples[samples.size() / 2], samples.front(), samples.back()};
}

void Stopwatch::wake(const std::function<void(vk::Recorder&)>& record) {
    constexpr std::chrono::duration<double> kPause{0.02}, kWork{0.7};
    if (device_.info().type == vk::DeviceType::Cpu || lastPause_ < kPause) return;
    const Clock::time_point begin = Clock::now();
    const int batch = std::clamp(static_cast<int>(0.01 / std::max(run(record, 1), 1e-6)), 1, 256);
    while (Clock::now() - begin < kWork) run(record, batch);
}

double Stopwatch::run(const std::function<void(vk::Recorder&)>& record, int batch) {
    recorder_.begin();
    for (int i = 0; i < batch; ++i) record(recorder_);
    recorder_.end();
    const Clock::time_point begin = Clock::now();
    lastPause_ = begin - lastEnd_;
    device_.submitAndWait(recorder_);
    lastEnd_ = Clock::now();
    return std::chrono::duration<double>(lastEnd_ - begin).count();
}

}  // namespace vulcat::cli

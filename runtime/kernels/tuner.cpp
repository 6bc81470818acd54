#include "kernels/tuner.h"

#include "kernels/tuner_trial.h"
#include "vk/recorder.h"

#include "base/checked.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kNan = 0xFFFFFFFFu;
constexpr size_t kLeastRuns = 5;
constexpr double kLeastSeconds = 0.002;  // of a submission that is timed: submitting takes tens of microseconds
constexpr uint32_t kMostTimes = 1024;    // in one submission

/// Runs a trial again and again.
class Timer {
  public:
    Timer(vk::Device& device, const Trial& trial, const TunerOptions& options)
        : device_(device), trial_(trial), options_(options), recorder_(device) {}

    /// One execution, some drivers compile now, on outputs that hold nothing of another's.
    void check(uint32_t rows) {
        askWhetherToGoOn();
        recorder_.begin();
        recorder_.fill(trial_.y(), kNan);
        trial_.record(recorder_, rows, 0);
        recorder_.end();
        device_.submitAndWait(recorder_);
    }

    /// Least seconds of one execution: whatever else the machine does only adds. One that is far behind `best` is not
    /// measured at length.
    double time(uint32_t rows, double best) {
        double least = run(rows, 1);
        const auto hopeless = [&] { return least > kHopeless * best && least > kLeastSeconds; };
        if (hopeless()) least = std::min(least, run(rows, 1));  // it may have been something else on the machine
        if (hopeless()) return least;
        // Of a short kernel one run is mostly its submission.
        uint32_t times = 1;
        for (double elapsed = least; elapsed < kLeastSeconds && times < kMostTimes; least = std::min(least, elapsed / times)) {
            times *= 2;
            elapsed = run(rows, times);
        }
        const double seconds = options_.secondsEach / 2;  // a tile is timed twice, on a GPU some more often
        double spent = 0;
        for (size_t runs = 0;
             (runs < kLeastRuns && spent < kPatience * seconds) || spent < seconds; ++runs) {
            const double elapsed = run(rows, times);
            least = std::min(least, elapsed / times);
            spent += elapsed;
        }
        return least;
    }

    /// Works until a GPU has raised its clocks, which takes half a second.
    void wake(uint32_t rows) {
        constexpr double kSeconds = 0.7;
        const auto runs = static_cast<uint32_t>(std::clamp(0.01 / std::max(run(rows, 1), 1e-7), 1.0, 256.0));
        for (double spent = 0; spent < kSeconds;) spent += run(rows, runs);
    }

  private:
    static constexpr double kHopeless = 4;
    static constexpr double kPatience = 5;  // with five runs: times what they should take

    void askWhetherToGoOn() const {
        if (options_.goOn && !options_.goOn()) throw Error(Result::Cancelled, "tuning was cancelled");
    }

    double run(uint32_t rows, uint32_t times) {
        askWhetherToGoOn();
        recorder_.begin();
        for (uint32_t i = 0; i < times; ++i) trial_.record(recorder_, rows, i);
        recorder_.end();
        const auto begin = std::chrono::steady_clock::now();
        device_.submitAndWait(recorder_);
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

    vk::Device& device_;
    const Trial& trial_;
    const TunerOptions& options_;
    vk::Recorder recorder_;
};

std::string describe(const LinearTile& tile) {
    std::string text = tile.module + ", " + std::to_string(tile.rows) + " rows";
    if (tile.tiles != 0) text += ", " + std::to_string(tile.tiles) + " tiles";
    if (tile.splits != 0) text += ", " + std::to_string(tile.splits) + " splits";
    if (tile.form != 0) text += ", form " + std::to_string(tile.form);
    return text;
}

/// Rows of as many passes as tell what one of many takes: a prompt's, but tiles of one row serve few.
uint32_t manyRows(const Trial& trial, const LinearTile& tile) {
    constexpr uint32_t kFew = 8;
    return tile.rows == 1 ? std::min(kFew, trial.mostRows()) : trial.mostRows();
}

/// Costs in nanoseconds. A pass alone can take as long as many, where starting it is most of it or where it leaves most of the
/// device idle: without knowing that, a tile that is fast on a prompt would be taken for a single row too.
void timeEach(Trial& trial, Timer& timer, std::vector<LinearTile>& tiles) {
    constexpr double kNanoseconds = 1e9, kLeastShare = 0.01, kTellingTimes = 3;
    for (LinearTile& tile : tiles) {
        const auto time = [&](uint32_t rows) {
            double best = std::numeric_limits<double>::infinity();
            for (const LinearTile* other = tiles.data(); other != &tile; ++other) best = std::min(best, other->costOf(rows));
            return kNanoseconds * timer.time(rows, best / kNanoseconds);
        };
        trial.take(tile);
        const double one = time(tile.rows);
        uint32_t rows = manyRows(trial, tile);
        double many = std::max(time(rows), one);
        // Few passes that take hardly longer than one say little of many.
        while (rows < trial.mostRows() && many < kTellingTimes * one) {
            rows = std::min(4 * rows, trial.mostRows());
            many = std::max(time(rows), one);
        }
        const auto passes = static_cast<double>(divideUp(rows, tile.rows));
        // Not 0, where a device takes no longer for many passes than for one.
        // Nor more than all of it by passes: caches that many rows overrun are no reason to expect the worse of more.
        tile.cost = passes > 1 ? std::clamp((many - one) / (passes - 1), kLeastShare * many / passes, many / passes) : many;
        tile.start = std::max(many - passes * tile.cost, 0.0);
        tile.atOnce = 1;
    }
}

}  // namespace

TunedLinear tuneLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                       const LinearSize& size, const TunerOptions& options) {
    const std::unique_ptr<Trial> trial = Trial::make(device, library, allowed, size);
    Timer timer(device, *trial, options);
    TunedLinear result;
    // All are made and checked before the first is timed: a GPU that waits for a compiler lowers its clocks.
    for (LinearTile tile : trial->tiles()) {
        trial->take(tile);
        timer.check(manyRows(*trial, tile));
        if (trial->isRight(manyRows(*trial, tile))) {
            result.measured.push_back(std::move(tile));
        } else {
            result.wrong.push_back(describe(tile));
        }
    }
    if (result.measured.empty()) throw Error(Result::Failure, "no kernel of linears computes rightly here");
    if (device.info().type != vk::DeviceType::Cpu) timer.wake(trial->mostRows());
    timeEach(*trial, timer, result.measured);
    const double parts = static_cast<double>(size.outputs) / trial->outputs();
    for (LinearTile& tile : result.measured) tile.cost *= parts, tile.start *= parts;
    result.best = worthKeeping(result.measured, options.maxRows);
    return result;
}

std::vector<LinearTile> worthKeeping(const std::vector<LinearTile>& measured, uint32_t maxRows) {
    std::vector<const LinearTile*> kept;
    for (uint32_t rows = 1; rows <= maxRows; ++rows) {
        const auto least = std::min_element(measured.begin(), measured.end(),
                                            [rows](const auto& a, const auto& b) { return a.costOf(rows) < b.costOf(rows); });
        if (std::find(kept.begin(), kept.end(), &*least) == kept.end()) kept.push_back(&*least);
    }
    std::stable_sort(kept.begin(), kept.end(), [](const auto* a, const auto* b) { return a->rows < b->rows; });
    std::vector<LinearTile> tiles;
    for (const LinearTile* tile : kept) tiles.push_back(*tile);
    return tiles;
}

}  // namespace vulcat::kernels

#include "kernels/tuner.h"

#include "kernels/tuner_trial.h"
#include "vk/recorder.h"

#include "base/checked.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kNan = 0xFFFFFFFFu;
constexpr size_t kLeastRuns = 5;
constexpr double kLeastSeconds = 0.002;  // of a submission that is timed: submitting takes tens of microseconds

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
        const auto times = static_cast<uint32_t>(std::clamp(kLeastSeconds / std::max(least, 1e-7), 1.0, 64.0));
        double spent = 0;
        for (size_t runs = 0;
             (runs < kLeastRuns && spent < kPatience * options_.secondsEach) || spent < options_.secondsEach; ++runs) {
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
    static constexpr double kPatience = 5;  // with five runs: times secondsEach

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

}  // namespace

TunedLinear tuneLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                       const LinearSize& size, const TunerOptions& options) {
    const std::unique_ptr<Trial> trial = Trial::make(device, library, allowed, size);
    Timer timer(device, *trial, options);
    TunedLinear result;
    const double nanosecondsOfWhole = 1e9 * size.outputs / trial->outputs();
    // All are made and checked before the first is timed: a GPU that waits for a compiler lowers its clocks.
    // A tile of one row serves one row; the taller ones are measured as they work on a prompt.
    const auto rowsOf = [&](const LinearTile& tile) { return tile.rows == 1 ? 1 : trial->mostRows(); };
    for (LinearTile tile : trial->tiles()) {
        trial->take(tile);
        timer.check(rowsOf(tile));
        if (trial->isRight(rowsOf(tile))) {
            result.measured.push_back(std::move(tile));
        } else {
            result.wrong.push_back(describe(tile));
        }
    }
    if (result.measured.empty()) throw Error(Result::Failure, "no kernel of linears computes rightly here");
    if (device.info().type != vk::DeviceType::Cpu) timer.wake(trial->mostRows());
    double bestOfOne = 1e9, bestOfRow = 1e9;  // seconds, of a single row and a row of many
    for (LinearTile& tile : result.measured) {
        const uint32_t rows = rowsOf(tile);
        trial->take(tile);
        double& best = tile.rows == 1 ? bestOfOne : bestOfRow;
        const double seconds = timer.time(rows, best * rows) / rows;
        best = std::min(best, seconds);
        tile.cost = nanosecondsOfWhole * seconds * tile.rows;
    }
    result.best = worthKeeping(result.measured, options.maxRows);
    return result;
}

std::vector<LinearTile> worthKeeping(const std::vector<LinearTile>& measured, uint32_t maxRows) {
    std::vector<const LinearTile*> kept;
    for (uint32_t rows = 1; rows <= maxRows; ++rows) {
        const auto cost = [rows](const LinearTile& tile) {
            return static_cast<double>(divideUp(rows, tile.rows)) * tile.cost;
        };
        const auto least = std::min_element(measured.begin(), measured.end(),
                                            [&](const auto& a, const auto& b) { return cost(a) < cost(b); });
        if (std::find(kept.begin(), kept.end(), &*least) == kept.end()) kept.push_back(&*least);
    }
    std::stable_sort(kept.begin(), kept.end(), [](const auto* a, const auto* b) { return a->rows < b->rows; });
    std::vector<LinearTile> tiles;
    for (const LinearTile* tile : kept) tiles.push_back(*tile);
    return tiles;
}

}  // namespace vulcat::kernels

#include "kernels/tuner.h"

#include "kernels/integer_linear.h"
#include "kernels/variant.h"
#include "vk/recorder.h"
#include "vk/transfer.h"

#include "format/linear_reference.h"

#include "base/checked.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kPattern = 64;  // rows of weights that differ; the rest repeats them, so that the reference is small
constexpr uint32_t kRows = 64;     // of x: whole tiles of every height
constexpr uint32_t kMostOutputs = 1u << 14;
constexpr uint32_t kNan = 0xFFFFFFFFu;
constexpr size_t kLeastRuns = 5;
constexpr double kLeastSeconds = 0.002;  // of a submission that is timed: submitting takes tens of microseconds

/// A linear of random codes with its inputs, and what must come out.
class Trial {
  public:
    Trial(vk::Device& device, const vk::CapabilitySet& allowed, const LinearSize& size)
        : size_{size.shape, std::min(size.outputs, kMostOutputs)},
          arena_(device, vk::MemoryIntent::Device, 64u << 20),
          uploader_(device),
          rows_(randomRows()),
          pattern_(randomPattern()),
          expected_(format::integerLinear(pattern_, rows_)),
          weights_(device, arena_, uploader_, allowed, size_.shape, stack(), integerOrder(device, allowed, size_.shape)),
          x_(device, allowed, arena_.allocate(QuantisedRows::sizeBytes(kRows, size_.shape.inputs)), kRows,
             size_.shape.inputs),
          y_(arena_.allocate(uint64_t{kRows} * size_.outputs * sizeof(float))) {
        uploader_.write(x_.storage(), std::span<const uint32_t>(layOutRows(rows_)));
        uploader_.finish();
    }

    const vk::BufferView& y() const { return y_; }
    IntegerLinear::Args args(uint32_t rows) const { return {x_, weights_, y_, rows}; }

    bool isRight(vk::Device& device, uint32_t rows) const {
        std::vector<float> y(size_t{rows} * size_.outputs);
        vk::download(device, y_.part(0, y.size() * sizeof(float)), std::as_writable_bytes(std::span(y)));
        for (size_t i = 0; i < y.size(); ++i) {
            const size_t m = i / size_.outputs, n = i % size_.outputs % pattern_.rows;
            if (y[i] != expected_[m * pattern_.rows + n]) return false;
        }
        return true;
    }

  private:
    format::QuantisedRows randomRows() {
        format::QuantisedRows rows;
        rows.rows = kRows;
        rows.columns = size_.shape.inputs;
        rows.codes.resize(rows.rows * rows.columns);
        for (int8_t& code : rows.codes) code = static_cast<int8_t>(static_cast<int>(random_() % 255) - 127);
        for (uint64_t m = 0; m < rows.rows; ++m) {
            int32_t sum = 0;
            for (uint64_t k = 0; k < rows.columns; ++k) sum += rows.codes[m * rows.columns + k];
            rows.headers.push_back({0.015625f, static_cast<int32_t>(m % 16), sum});
        }
        return rows;
    }

    format::QuantisedMatrix randomPattern() {
        format::QuantisedMatrix matrix;
        matrix.rows = std::min(size_.outputs, kPattern);
        matrix.columns = size_.shape.inputs;
        matrix.bits = static_cast<int>(size_.shape.bits());
        matrix.groupSize = size_.shape.groupSize;
        matrix.codes.resize(matrix.rows * matrix.columns);
        const int least = matrix.bits == 4 ? -8 : -127, codes = matrix.bits == 4 ? 16 : 255;
        for (int8_t& code : matrix.codes) {
            code = static_cast<int8_t>(least + static_cast<int>(random_() % static_cast<uint32_t>(codes)));
        }
        matrix.scales.assign(matrix.rows * matrix.groups(), 0.03125f);
        matrix.codeSums.resize(matrix.scales.size());
        for (uint64_t n = 0; n < matrix.rows; ++n) {
            format::sumCodes(std::span(matrix.codes).subspan(n * matrix.columns, matrix.columns), matrix.groupSize,
                             std::span(matrix.codeSums).subspan(n * matrix.groups(), matrix.groups()));
        }
        return matrix;
    }

    std::vector<LinearPart> stack() {
        packed_ = pattern_.packedCodes();
        std::vector<LinearPart> parts;
        for (uint32_t first = 0; first < size_.outputs; first += kPattern) {
            const uint32_t rows = std::min(kPattern, size_.outputs - first);
            const size_t groups = rows * size_.shape.groups();
            parts.push_back({rows, std::span(packed_).first(rows * size_.shape.sourceRowBytes()),
                             std::span(pattern_.scales).first(groups), std::span(pattern_.codeSums).first(groups), {}});
        }
        return parts;
    }

    LinearSize size_;
    std::mt19937 random_{1};
    vk::Arena arena_;
    vk::Uploader uploader_;
    format::QuantisedRows rows_;
    format::QuantisedMatrix pattern_;
    std::vector<std::byte> packed_;
    std::vector<float> expected_;
    LinearWeights weights_;
    QuantisedRows x_;
    vk::BufferView y_;
};

/// Runs one linear again and again.
class Timer {
  public:
    Timer(vk::Device& device, const TunerOptions& options) : device_(device), options_(options), recorder_(device) {}

    /// One execution, some drivers compile now, on outputs that hold nothing of another's.
    void check(const IntegerLinear& linear, const IntegerLinear::Args& args, const vk::BufferView& y) {
        recorder_.begin();
        recorder_.fill(y, kNan);
        linear.record(recorder_, args);
        recorder_.end();
        device_.submitAndWait(recorder_);
    }

    double run(const IntegerLinear& linear, const IntegerLinear::Args& args, int times) {
        if (options_.goOn && !options_.goOn()) throw Error(Result::Cancelled, "tuning was cancelled");
        recorder_.begin();
        for (int i = 0; i < times; ++i) linear.record(recorder_, args);
        recorder_.end();
        const auto begin = std::chrono::steady_clock::now();
        device_.submitAndWait(recorder_);
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

    /// Least seconds of one execution: whatever else the machine does only adds. One that is far behind `best` is not
    /// measured again.
    double time(const IntegerLinear& linear, const IntegerLinear::Args& args, double best) {
        double least = run(linear, args, 1);
        if (least > kHopeless * best && least > kLeastSeconds) return least;
        const int times = std::clamp(static_cast<int>(kLeastSeconds / std::max(least, 1e-7)), 1, 64);
        double spent = 0;
        for (size_t runs = 0; runs < kLeastRuns || spent < options_.secondsEach; ++runs) {
            const double elapsed = run(linear, args, times);
            least = std::min(least, elapsed / times);
            spent += elapsed;
        }
        return least;
    }

  private:
    static constexpr double kHopeless = 4;

    vk::Device& device_;
    const TunerOptions& options_;
    vk::Recorder recorder_;
};

}  // namespace

TunedLinear tuneLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                       const LinearSize& size, const TunerOptions& options) {
    const Trial trial(device, allowed, size);
    Timer timer(device, options);
    TunedLinear result;
    double bestOfOne = 1e9, bestOfRow = 1e9;  // seconds, of a single row and a row of many
    for (LinearTile tile : IntegerLinear::tiles(device, allowed, size, options.maxRows)) {
        // A tile of one row serves one row; the taller ones are measured as they work on a prompt.
        const uint32_t rows = tile.rows == 1 ? 1 : kRows;
        const IntegerLinear linear(device, library, allowed, size, options.maxRows, {&tile, 1});
        timer.check(linear, trial.args(rows), trial.y());
        if (!trial.isRight(device, rows)) {
            result.wrong.push_back(tile.module + ", " + std::to_string(tile.rows) + " rows");
            continue;
        }
        double& best = tile.rows == 1 ? bestOfOne : bestOfRow;
        const double seconds = timer.time(linear, trial.args(rows), best * rows) / rows;
        best = std::min(best, seconds);
        tile.cost = 1e9 * seconds * tile.rows;
        result.measured.push_back(std::move(tile));
    }
    if (result.measured.empty()) throw Error(Result::Failure, "no kernel of integer linears computes rightly here");
    result.best = worthKeeping(result.measured, options.maxRows);
    return result;
}

std::vector<LinearTile> worthKeeping(const std::vector<LinearTile>& measured, uint32_t maxRows) {
    std::vector<const LinearTile*> kept;
    for (uint32_t rows = 1; rows <= maxRows; ++rows) {
        const auto cost = [rows](const LinearTile& tile) { return static_cast<double>(divideUp(rows, tile.rows)) * tile.cost; };
        const auto least = std::min_element(measured.begin(), measured.end(), [&](const auto& a, const auto& b) {
            return cost(a) < cost(b);
        });
        if (std::find(kept.begin(), kept.end(), &*least) == kept.end()) kept.push_back(&*least);
    }
    std::stable_sort(kept.begin(), kept.end(), [](const auto* a, const auto* b) { return a->rows < b->rows; });
    std::vector<LinearTile> tiles;
    for (const LinearTile* tile : kept) tiles.push_back(*tile);
    return tiles;
}

}  // namespace vulcat::kernels

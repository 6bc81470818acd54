#include "kernels/tuner_trial.h"

#include "kernels/float_linear.h"
#include "kernels/integer_linear.h"

#include "format/half.h"
#include "format/linear_reference.h"

#include <algorithm>
#include <optional>
#include <random>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kPattern = 64;
constexpr uint32_t kMostOutputs = 1u << 14;
constexpr uint32_t kRows = 64;
constexpr uint32_t kRowsOnGpu = 512;            // a prompt's pass: work enough for a large GPU
constexpr uint32_t kRowsOnSmallGpu = 128;       // where the slowest tile must not seem to hang
constexpr uint64_t kBytesPastCaches = 256u << 20;
// A CPU takes long for floats, and its tiles compare on less.
constexpr uint32_t kFloatRowsOnCpu = 16;
constexpr uint32_t kFloatWeightsOnCpu = 1u << 22;

bool isCpu(const vk::Device& device) {
    return device.info().type == vk::DeviceType::Cpu;
}

uint32_t rowsToMeasure(const vk::Device& device, uint32_t onCpu) {
    if (isCpu(device)) return onCpu;
    return device.info().type == vk::DeviceType::Integrated ? kRowsOnSmallGpu : kRowsOnGpu;
}

class Integers {
  public:
    /// From low to high, both included.
    int operator()(int low, int high) {
        return low + static_cast<int>(random_() % static_cast<uint32_t>(high - low + 1));
    }
    /// 1/32 or 1/16, so that a scale of the wrong group shows.
    float scale() { return random_() % 2 == 0 ? 0.03125f : 0.0625f; }

  private:
    std::mt19937 random_{1};
};

format::QuantisedMatrix randomCodes(const LinearShape& shape, uint32_t rows, Integers& integers) {
    format::QuantisedMatrix matrix;
    matrix.rows = rows;
    matrix.columns = shape.inputs;
    matrix.bits = static_cast<int>(shape.bits());
    matrix.groupSize = shape.groupSize;
    matrix.codes.resize(matrix.rows * matrix.columns);
    const int low = matrix.bits == 4 ? -8 : -127, high = matrix.bits == 4 ? 7 : 127;
    for (int8_t& code : matrix.codes) code = static_cast<int8_t>(integers(low, high));
    matrix.scales.resize(matrix.rows * matrix.groups());
    for (float& scale : matrix.scales) scale = integers.scale();
    matrix.codeSums.resize(matrix.scales.size());
    for (uint64_t n = 0; n < matrix.rows; ++n) {
        format::sumCodes(std::span(matrix.codes).subspan(n * matrix.columns, matrix.columns), matrix.groupSize,
                         std::span(matrix.codeSums).subspan(n * matrix.groups(), matrix.groups()));
    }
    return matrix;
}

LinearPart partOf(const format::QuantisedMatrix& matrix, std::span<const std::byte> packed) {
    return {static_cast<uint32_t>(matrix.rows), packed, matrix.scales, matrix.codeSums, {}};
}

class IntegerTrial final : public Trial {
  public:
    IntegerTrial(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                 const LinearSize& size)
        : Trial(device, size, rowsToMeasure(device, kRows)),
          library_(library),
          allowed_(allowed),
          x_(device, allowed, arena_.allocate(QuantisedRows::sizeBytes(mostRows_, size.shape.inputs)), mostRows_,
             size.shape.inputs) {
        Integers integers;
        const format::QuantisedRows rows = randomRows(integers);
        const format::QuantisedMatrix pattern = randomCodes(size_.shape, patternRows_, integers);
        expected_ = format::integerLinear(pattern, rows);
        uploader_.write(x_.storage(), std::span<const uint32_t>(layOutRows(rows)));
        makeWeights(allowed, integerOrder(device, allowed, size_.shape), partOf(pattern, pattern.packedCodes()));
    }

    std::vector<LinearTile> tiles() const override { return IntegerLinear::tiles(device_, allowed_, size_, mostRows_); }
    void take(const LinearTile& tile) override {
        linear_.emplace(device_, library_, allowed_, size_, mostRows_, std::span(&tile, 1));
    }
    void record(vk::Recorder& recorder, uint32_t rows, uint32_t run) const override {
        linear_->record(recorder, {x_, weights(run), y_, rows});
    }

  private:
    format::QuantisedRows randomRows(Integers& integers) const {
        format::QuantisedRows rows;
        rows.rows = mostRows_;
        rows.columns = size_.shape.inputs;
        rows.codes.resize(rows.rows * rows.columns);
        for (int8_t& code : rows.codes) code = static_cast<int8_t>(integers(-127, 127));
        for (uint64_t m = 0; m < rows.rows; ++m) {
            int32_t sum = 0;
            for (uint64_t k = 0; k < rows.columns; ++k) sum += rows.codes[m * rows.columns + k];
            rows.headers.push_back({0.015625f, static_cast<int32_t>(m % 16), sum});
        }
        return rows;
    }

    vk::PipelineLibrary& library_;
    vk::CapabilitySet allowed_;
    QuantisedRows x_;
    std::optional<IntegerLinear> linear_;
};

class FloatTrial final : public Trial {
  public:
    FloatTrial(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
               const LinearSize& size)
        : Trial(device, size, rowsToMeasure(device, kFloatRowsOnCpu)),
          library_(library),
          allowed_(allowed),
          x_(arena_.allocate(uint64_t{mostRows_} * size.shape.inputs * sizeof(float))) {
        Integers integers;
        std::vector<float> x(size_t{mostRows_} * size_.shape.inputs);
        for (float& value : x) value = static_cast<float>(integers(-4, 4));
        uploader_.write(x_, std::span<const float>(x));
        const WeightOrder order = floatOrder(device, allowed, size_.shape);
        std::vector<double> y;
        if (size_.shape.isInteger()) {
            const format::QuantisedMatrix pattern = randomCodes(size_.shape, patternRows_, integers);
            y = format::weightOnlyLinear(pattern, x, mostRows_);
            makeWeights(allowed, order, partOf(pattern, pattern.packedCodes()));
        } else {
            std::vector<float> pattern(size_t{patternRows_} * size_.shape.inputs);
            for (float& value : pattern) value = static_cast<float>(integers(-8, 8));
            y = format::floatLinear(pattern, patternRows_, size_.shape.inputs, x, mostRows_);
            makeWeights(allowed, order, {patternRows_, stored(pattern), {}, {}, {}});
        }
        expected_.assign(y.begin(), y.end());
    }

    std::vector<LinearTile> tiles() const override { return FloatLinear::tiles(device_, allowed_, size_); }
    void take(const LinearTile& tile) override {
        linear_.emplace(device_, library_, allowed_, size_, mostRows_, std::span(&tile, 1));
    }
    void record(vk::Recorder& recorder, uint32_t rows, uint32_t run) const override {
        linear_->record(recorder, {x_, weights(run), y_, rows});
    }

  private:
    /// The bytes of values in the format of the weights, which holds them exactly.
    std::span<const std::byte> stored(std::span<const float> values) {
        if (size_.shape.format == WeightFormat::F32) return std::as_bytes(values);
        const bool half = size_.shape.format == WeightFormat::F16;
        for (const float value : values) {
            words_.push_back(half ? format::floatToHalf(value) : format::floatToBfloat16(value));
        }
        return std::as_bytes(std::span<const uint16_t>(words_));
    }

    vk::PipelineLibrary& library_;
    vk::CapabilitySet allowed_;
    vk::BufferView x_;
    std::vector<uint16_t> words_;
    std::optional<FloatLinear> linear_;
};

/// The size that is measured of a linear.
LinearSize partToMeasure(const vk::Device& device, LinearSize size) {
    uint32_t most = kMostOutputs;
    if (size.input == LinearInput::Floats && isCpu(device)) {
        most = std::clamp(kFloatWeightsOnCpu / std::max(size.shape.inputs, 1u), kPattern, kMostOutputs);
    }
    size.outputs = std::min(size.outputs, most);
    return size;
}

}  // namespace

Trial::Trial(vk::Device& device, const LinearSize& size, uint32_t mostRows)
    : device_(device),
      size_(size),
      mostRows_(mostRows),
      patternRows_(std::min(size.outputs, kPattern)),
      arena_(device, vk::MemoryIntent::Device, 64u << 20),
      uploader_(device),
      y_(arena_.allocate(uint64_t{mostRows} * size.outputs * sizeof(float))) {}

std::unique_ptr<Trial> Trial::make(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                                   const LinearSize& size) {
    const LinearSize part = partToMeasure(device, size);
    if (size.input == LinearInput::Floats) return std::make_unique<FloatTrial>(device, library, allowed, part);
    return std::make_unique<IntegerTrial>(device, library, allowed, part);
}

void Trial::makeWeights(const vk::CapabilitySet& allowed, WeightOrder order, const LinearPart& pattern) {
    std::vector<LinearPart> parts;
    for (uint32_t first = 0; first < size_.outputs; first += pattern.rows) {
        const uint32_t rows = std::min(pattern.rows, size_.outputs - first);
        const size_t groups = size_t{rows} * size_.shape.groups();
        parts.push_back({rows,
                         pattern.codes.first(static_cast<size_t>(rows * size_.shape.sourceRowBytes())),
                         pattern.scales.first(groups),
                         pattern.codeSums.first(groups),
                         {}});
    }
    const uint64_t enough = std::min(kBytesPastCaches, device_.availableBytes() / 8);
    uint64_t bytes = 0;
    do {
        copies_.emplace_back(device_, arena_, uploader_, allowed, size_.shape, parts, order);
        bytes += copies_.back().sizeBytes();
    } while (bytes < enough && !isCpu(device_));
    uploader_.finish();
}

bool Trial::isRight(uint32_t rows) const {
    std::vector<float> y(size_t{rows} * size_.outputs);
    vk::download(device_, y_.part(0, y.size() * sizeof(float)), std::as_writable_bytes(std::span(y)));
    for (size_t m = 0; m < rows; ++m) {
        const float* expected = expected_.data() + m * patternRows_;
        for (size_t n = 0; n < size_.outputs; n += patternRows_) {
            const float* row = y.data() + m * size_.outputs + n;
            if (!std::equal(row, row + std::min<size_t>(patternRows_, size_.outputs - n), expected)) return false;
        }
    }
    return true;
}

}  // namespace vulcat::kernels

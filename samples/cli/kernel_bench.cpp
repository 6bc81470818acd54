#include "cli/kernel_bench.h"

#include "cli/copy_limit.h"
#include "cli/stopwatch.h"
#include "cli/terminal.h"

#include "kernels/block_transform.h"
#include "kernels/float_linear.h"
#include "kernels/integer_linear.h"
#include "kernels/mix_dense.h"
#include "kernels/mix_hadamard.h"
#include "kernels/quantise_rows.h"
#include "kernels/variant.h"
#include "vk/recorder.h"

#include "shaders/interface/peak.h"
#include "shaders/table.h"

#include "format/transform.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <utility>

namespace vulcat::cli {
namespace {

struct LinearFormat {
    kernels::WeightFormat weights = kernels::WeightFormat::Int4;
    uint32_t activationBits = 8;
    uint32_t groupSize = 0;
};

LinearFormat parseFormat(const std::string& name) {
    LinearFormat f;
    std::string stem = name;
    if (const size_t dash = name.find("-g"); dash != std::string::npos) {
        stem = name.substr(0, dash);
        const std::string group = name.substr(dash + 2);
        f.groupSize = group == "32" ? 32 : group == "64" ? 64 : group == "128" ? 128 : 1;
    }
    static constexpr const char* kNames[] = {"w4a4", "w4a8", "w4a16", "w8a4", "w8a8", "w8a16", "w16a16"};
    if (f.groupSize == 1 || std::find(std::begin(kNames), std::end(kNames), stem) == std::end(kNames) ||
        (stem == "w16a16" && f.groupSize != 0))
        throw Error(Result::InvalidArgument, "format " + name + " is none of w4a4, w4a8, w4a16, w8a4, w8a8, w8a16, w16a16, "
                                             "the integer ones with -g32, -g64 or -g128 if wanted");
    f.weights = stem[1] == '4' ? kernels::WeightFormat::Int4 : stem[1] == '8' ? kernels::WeightFormat::Int8 : kernels::WeightFormat::BF16;
    const char a = stem[stem.find('a') + 1];
    f.activationBits = a == '4' ? 4 : a == '8' ? 8 : 16;
    return f;
}

std::string shapeName(uint32_t rows, const KernelShape& shape) {
    return "M " + std::to_string(rows) + ", " + std::to_string(shape.outputs) + "x" + std::to_string(shape.inputs);
}

/// Wide enough for what the columns may hold, as rows are printed before the longest is known.
std::vector<size_t> columnWidths(const KernelBenchOptions& options) {
    size_t name = std::string_view("copy, read + write").size(), shape = 0, module = 0;
    const uint32_t rows = *std::max_element(options.rows.begin(), options.rows.end());
    for (const KernelShape& s : options.shapes) shape = std::max(shape, shapeName(rows, s).size());
    for (const std::string& format : options.formats) name = std::max(name, format.size());
    for (const shaders::Module& m : shaders::modules()) {
        if (m.name.starts_with("integer_linear") || m.name.starts_with("float_")) module = std::max(module, m.name.size());
    }
    return {name, shape, module, 8, 8, 8, 7, 8};
}

/// What an execution moves and computes, and what it is held against; 0: nothing.
struct Work {
    uint64_t bytes = 0;
    double operations = 0;
    double peak = 0;         ///< of the device, operations a second
    double copySeconds = 0;  ///< of a copy that moves as many bytes
};

/// Measures entries and adds them to the table.
class Bench {
  public:
    Bench(vk::Device& device, const KernelBenchOptions& options, const std::string& format)
        : device_(device),
          options_(options),
          allowed_(options.allowed & device.capabilities()),
          library_(device),
          watch_(device),
          copy_(device, library_, watch_),
          table_({"kernel", "shape", "module", "ms", "lowest", "highest", "GB/s", "GOP/s", "% of copy", "% of a copy as large", "% of peak"},
                 format, columnWidths(options)) {}

    void run() {
        measureCopy();
        fmaPeak_ = measurePeak("fp32 multiply-add", false);
        integerPeak_ = measurePeak("int32 multiply-add", true);
        for (const KernelShape& shape : options_.shapes) {
            for (const std::string& format : options_.formats) linear(shape, format);
            transforms(shape.inputs);
        }
        table_.finish();
    }

  private:
    /// By the device's own command and, since that of some GPUs is slow, there by a shader too: the faster is the limit.
    void measureCopy() {
        std::vector<std::pair<std::string, Timing>> ways{{"command", copy_.byCommand(options_.secondsEach)}};
        if (!isCpu()) ways.emplace_back("copy", copy_.byShader(options_.secondsEach));
        const uint64_t bytes = 2 * copy_.bytes();
        for (const auto& [module, t] : ways) copyBytesPerSecond_ = std::max(copyBytesPerSecond_, static_cast<double>(bytes) / t.median);
        for (const auto& [module, t] : ways) add("copy, read + write", module, humanBytes(copy_.bytes()), t, {.bytes = bytes});
    }

    /// Operations a second of chains of multiply-adds, on every core of the device: of the best run, as it is a limit.
    double measurePeak(const std::string& name, bool integers) {
        constexpr uint32_t kGroups = 1024, kRounds = 64;
        vk::PipelineSpec spec;
        spec.module = "peak";
        const uint32_t lanes = kernels::defaultLocalSize(device_);
        spec.constants = {lanes, integers};
        spec.pushBytes = sizeof(shaders::PeakPush);
        spec.bindings = {vk::BindingKind::Storage};
        const vk::Pipeline& pipeline = library_.get(spec);
        vk::Arena arena(device_, vk::MemoryIntent::Device, 1u << 20);
        const vk::BufferView y = arena.allocate(uint64_t{kGroups} * lanes * 4);
        Timing timing = time([&](vk::Recorder& r) {
            r.dispatch(pipeline, {vk::write(y)}, shaders::PeakPush{kRounds, 3}, {kGroups, 1, 1});
        });
        timing.median = timing.lowest;
        const double operations = 2.0 * kGroups * lanes * kRounds * shaders::kPeakMultiplyAdds;
        add(name, "peak", "", timing, {.operations = operations});
        return operations / timing.median;
    }

    Timing time(const std::function<void(vk::Recorder&)>& record) { return watch_.time(options_.secondsEach, record); }

    void add(const std::string& kernel, const std::string& module, const std::string& shape, const Timing& t, const Work& work) {
        const double rate = static_cast<double>(work.bytes) / t.median;
        const auto percent = [](double part, double whole) { return part > 0 && whole > 0 ? fixed(100.0 * part / whole, 1) : ""; };
        table_.add({kernel, shape, module, fixed(1e3 * t.median, 3), fixed(1e3 * t.lowest, 3), fixed(1e3 * t.highest, 3), fixed(1e-9 * rate, 2),
                    fixed(1e-9 * work.operations / t.median, 1), percent(rate, copyBytesPerSecond_), percent(work.copySeconds, t.median),
                    percent(work.operations / t.median, work.peak)});
    }

    /// A kernel that finds its memory in the cache, if that is large enough, as it does in a model.
    void addWarm(const std::string& kernel, const std::string& shape, uint64_t bytes, double operations, const std::function<void(vk::Recorder&)>& record) {
        const Timing t = time(record);
        add(kernel, "", shape, t, {.bytes = bytes, .operations = operations, .copySeconds = copy_.secondsOf(bytes, false)});
    }

    vk::BufferView activations(vk::Arena& arena, vk::Uploader& uploader, uint64_t count) {
        std::vector<float> values(count);
        for (float& v : values) v = normal_(random_);
        const vk::BufferView view = arena.allocate(count * 4);
        uploader.write(view, std::span<const float>(values));
        return view;
    }

    void linear(const KernelShape& shape, const std::string& name) {
        const LinearFormat format = parseFormat(name);
        const uint32_t maxRows = *std::max_element(options_.rows.begin(), options_.rows.end());
        vk::Arena arena(device_, vk::MemoryIntent::Device, 64u << 20);
        vk::Uploader uploader(device_);
        const vk::BufferView x = activations(arena, uploader, uint64_t{maxRows} * shape.inputs);
        const vk::BufferView y = arena.allocate(uint64_t{maxRows} * shape.outputs * 4);
        const kernels::LinearSize size{{format.weights, shape.inputs, format.groupSize}, shape.outputs};
        const auto order = (format.activationBits == 16 ? kernels::floatOrder : kernels::integerOrder)(device_, allowed_, size.shape);
        const std::vector<kernels::LinearWeights> layers = someWeights(size, arena, uploader, order);
        std::optional<kernels::QuantisedRows> quantised;
        if (format.activationBits != 16) {
            const vk::BufferView storage = arena.allocate(kernels::QuantisedRows::sizeBytes(maxRows, shape.inputs));
            quantised.emplace(device_, allowed_, storage, maxRows, shape.inputs);
            uploader.finish();
            const kernels::QuantiseRows quantise(device_, library_, allowed_, {format.activationBits, format.activationBits == 8});
            time([&](vk::Recorder& r) { quantise.record(r, {x, *quantised, maxRows}); });
        }
        uploader.finish();
        size_t turn = 0;
        const auto weights = [&]() -> const kernels::LinearWeights& { return layers[turn++ % layers.size()]; };
        for (uint32_t rows : options_.rows) {
            if (quantised) {
                const kernels::IntegerLinear kernel(device_, library_, allowed_, size, rows);
                const Timing t = time([&](vk::Recorder& r) { kernel.record(r, {*quantised, weights(), y, rows}); });
                addLinear(shape, name, std::string(kernel.module()), rows, layers.front().sizeBytes(), t);
            } else {
                const kernels::FloatLinear kernel(device_, library_, allowed_, size, rows);
                const Timing t = time([&](vk::Recorder& r) { kernel.record(r, {x, weights(), y, rows}); });
                addLinear(shape, name, std::string(kernel.module()), rows, layers.front().sizeBytes(), t);
            }
        }
    }

    /// On a GPU as many layers as its cache cannot hold, as a model has: one alone would be read from there every time.
    std::vector<kernels::LinearWeights> someWeights(const kernels::LinearSize& size, vk::Arena& arena, vk::Uploader& uploader,
                                                    kernels::WeightOrder order) {
        constexpr size_t kGpuBytes = 256u << 20, kMostLayers = 64;
        const kernels::LinearShape& shape = size.shape;
        std::vector<uint16_t> codes(size_t{size.outputs} * shape.sourceRowBytes() / 2);
        // As BF16 these are magnitudes of 0.008 to 1; as codes anything goes.
        for (uint16_t& word : codes) word = static_cast<uint16_t>(0x3c00u + (random_() & 0x83ffu));
        const std::vector<float> scales(size_t{size.outputs} * shape.groups(), 0.01f);
        const std::vector<int32_t> sums(scales.size(), 0);  // a speed test: only the time of using them counts
        const kernels::LinearPart part{size.outputs, std::as_bytes(std::span<const uint16_t>(codes)), scales, sums, {}};
        const size_t layers = isCpu() ? 1 : std::clamp<size_t>(kGpuBytes / (codes.size() * 2), 1, kMostLayers);
        std::vector<kernels::LinearWeights> all;
        for (size_t i = 0; i < layers; ++i) all.emplace_back(device_, arena, uploader, allowed_, shape, std::span(&part, 1), order);
        return all;
    }

    void addLinear(const KernelShape& shape, const std::string& name, const std::string& module, uint32_t rows, uint64_t weightBytes, const Timing& t) {
        const double peak = module.starts_with("integer") ? integerPeak_ : fmaPeak_;
        const uint64_t activationBytes = uint64_t{rows} * (shape.inputs + shape.outputs) * 4;
        const uint64_t bytes = weightBytes + activationBytes;
        add(name, module, shapeName(rows, shape), t,
            {.bytes = bytes, .operations = 2.0 * rows * shape.outputs * shape.inputs, .peak = peak, .copySeconds = copy_.secondsOf(bytes, !isCpu())});
    }

    void transforms(uint32_t inputs) {
        if (!measuredInputs_.insert(inputs).second) return;
        const uint32_t maxRows = *std::max_element(options_.rows.begin(), options_.rows.end());
        constexpr uint32_t kBlock = 64;
        vk::Arena arena(device_, vk::MemoryIntent::Device, 64u << 20);
        vk::Uploader uploader(device_);
        const vk::BufferView x = activations(arena, uploader, uint64_t{maxRows} * inputs);
        const vk::BufferView y = arena.allocate(uint64_t{maxRows} * inputs * 4);
        const std::vector<uint16_t> full(size_t{inputs / kBlock} * kBlock * kBlock, 0x2c00), tail(size_t{inputs % kBlock} * (inputs % kBlock), 0x2c00);
        const std::vector<uint32_t> blocks = kernels::BlockTransform::layOut(
            inputs, kBlock, full, tail, kernels::BlockTransform::order(device_, allowed_, inputs, kBlock), kernels::weightLanes(device_));
        const vk::BufferView blocksView = arena.allocate(blocks.size() * 4);
        uploader.write(blocksView, std::span<const uint32_t>(blocks));
        format::Transform mix;
        mix.width = inputs;
        if (inputs % kBlock == 0) format::setMix(mix, inputs / kBlock, kBlock);
        const auto core = static_cast<uint32_t>(mix.mixCore);
        const std::vector<float> matrix = kernels::MixDense::layOut(core, mix.mixCore > 1 ? mix.mixMatrix : std::vector<float>{1});
        const vk::BufferView matrixView = arena.allocate(matrix.size() * 4);
        uploader.write(matrixView, std::span<const float>(matrix));
        const vk::BufferView codes = arena.allocate(kernels::QuantisedRows::sizeBytes(maxRows, inputs));
        const kernels::QuantisedRows quantised(device_, allowed_, codes, maxRows, inputs);
        uploader.finish();
        const kernels::BlockTransform dense(device_, library_, allowed_, inputs, kBlock);
        const kernels::QuantiseRows quantise(device_, library_, allowed_, {4, false});
        for (uint32_t rows : options_.rows) {
            const std::string shape = "M " + std::to_string(rows) + ", K " + std::to_string(inputs);
            const uint64_t bytes = uint64_t{rows} * inputs * 8;
            addWarm("block transform 64", shape, bytes + blocksView.size, 2.0 * rows * inputs * kBlock,
                    [&](vk::Recorder& r) { dense.record(r, {x, blocksView, y, rows}); });
            if (mix.hasMix() && core > 1) {
                const kernels::MixDense mixDense(device_, library_, allowed_, inputs, core, kBlock);
                addWarm("mix by " + std::to_string(core), shape, bytes, 2.0 * rows * inputs * core,
                        [&](vk::Recorder& r) { mixDense.record(r, {x, matrixView, y, rows}); });
            }
            if (mix.hasMix() && mix.mixPower() > 0) {
                const uint32_t order = 1u << mix.mixPower();
                const kernels::MixHadamard hadamard(device_, library_, allowed_, inputs, order, kBlock * core);
                addWarm("Hadamard " + std::to_string(order), shape, bytes, 0, [&](vk::Recorder& r) { hadamard.record(r, {x, y, rows}); });
            }
            addWarm("quantise a4", shape, bytes / 8 * 5, 0, [&](vk::Recorder& r) { quantise.record(r, {x, quantised, rows}); });
        }
    }

    bool isCpu() const { return device_.info().type == vk::DeviceType::Cpu; }

    vk::Device& device_;
    const KernelBenchOptions& options_;
    vk::CapabilitySet allowed_;
    vk::PipelineLibrary library_;
    Stopwatch watch_;
    CopyLimit copy_;
    double copyBytesPerSecond_ = 0;
    double fmaPeak_ = 0, integerPeak_ = 0;  ///< operations a second
    std::set<uint32_t> measuredInputs_;
    std::mt19937_64 random_{1};
    std::normal_distribution<float> normal_{0.0f, 1.0f};
    LiveTable table_;
};

}  // namespace

KernelShape parseKernelShape(const std::string& text) {
    const size_t x = text.find('x');
    const auto number = [&](const std::string& part) -> uint32_t {
        if (part.empty() || part.size() > 7 || part.find_first_not_of("0123456789") != std::string::npos) return 0;
        return static_cast<uint32_t>(std::stoul(part));
    };
    const KernelShape shape = x == std::string::npos ? KernelShape{} : KernelShape{number(text.substr(0, x)), number(text.substr(x + 1))};
    if (shape.outputs == 0 || shape.inputs == 0)
        throw Error(Result::InvalidArgument, "shape " + text + " is not OUTPUTSxINPUTS, for instance 4096x14336");
    return shape;
}

void benchKernels(vk::Device& device, const KernelBenchOptions& options, const std::string& format) {
    for (const std::string& name : options.formats) parseFormat(name);  // a mistake is told before anything is measured
    Bench(device, options, format).run();
}

}  // namespace vulcat::cli

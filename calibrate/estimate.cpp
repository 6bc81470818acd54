#include "calibrate/estimate.h"

#include "calibrate/layer_time.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/statistics.h"
#include "calibrate/texts.h"
#include "calibrate/work_folder.h"

#include "format/hadamard.h"
#include "format/names.h"
#include "format/packing.h"
#include "format/safetensors.h"
#include "text/tokenizer.h"

#include "base/error.h"

#include <algorithm>
#include <fstream>

namespace vulcat::calibrate {

namespace {

namespace fs = std::filesystem;
using format::SiteKind;

/// Sizes of one site, the same in every layer.
struct SiteSize {
    uint64_t inputs = 0, outputs = 0, widest = 0;  ///< K, N of all linears, N of the largest
};

SiteSize sizeOf(const format::ModelConfig& config, SiteKind kind) {
    SiteSize size;
    size.inputs = format::siteWidth(config, kind);
    for (const format::LinearInfo& linear : format::siteLinears(config, 0, kind)) {
        size.outputs += linear.rows;
        size.widest = std::max(size.widest, linear.rows);
    }
    return size;
}

/// Bytes on disk of one baked site with weights of options.weightBits: codes, scales, code sums, transform, and what
/// config, report and header say of it.
uint64_t bakedBytes(const CalibrateOptions& options, const SiteSize& size) {
    const auto group = static_cast<uint64_t>(options.groupSize);
    const uint64_t groups = format::groupCount(size.inputs, group);
    uint64_t bytes =
        size.outputs * (format::packedRowBytes(size.inputs, options.weightBits) + groups * (group == 0 ? 8 : 6));
    constexpr uint64_t kWords = 8192;
    if (options.rounding == Rounding::WaterSic) {
        const double bits = options.rate * static_cast<double>(size.inputs) * static_cast<double>(size.outputs);
        return static_cast<uint64_t>(bits / 8) + kWords;
    }
    if (options.targetBits) {
        const double share = (*options.targetBits - 4) / 4;  // of the weights with 8 bits
        bytes += static_cast<uint64_t>(share * static_cast<double>(size.outputs * size.inputs) / 2);
    }
    if (options.transform == TransformKind::None) return bytes + kWords;
    uint64_t mixOrder = size.inputs;
    if (options.transform == TransformKind::BlockHadamard) mixOrder = 1;
    if (options.transform == TransformKind::Cat) {
        const auto block = static_cast<uint64_t>(blockOf(options, static_cast<int64_t>(size.inputs)));
        const uint64_t tail = size.inputs % block;
        bytes += 2 * (size.inputs / block * block * block + tail * tail);
        if (tail == 0) mixOrder = size.inputs / block;
    }
    const auto core = static_cast<uint64_t>(format::factorOrder(static_cast<int>(mixOrder)).core);
    return bytes + kWords + (core > 1 ? 4 * core * core : 0);
}

uint64_t modelBytes(const fs::path& folder) {
    uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_regular_file()) bytes += entry.file_size();
    return bytes;
}

/// Weights of linears that become codes, as they are stored in the source. (A tied head's floats stay: the embedding.)
uint64_t linearBytes(const CalibrateOptions& options, const format::ModelConfig& config,
                     const format::TensorStore& store) {
    if (options.weightBits == 16) return 0;
    const bool head = options.headBits != 16 && !config.tieWordEmbeddings;
    uint64_t bytes = head ? store.at(format::kHeadName).bytes.size() : 0;
    for (int layer = 0; layer < config.layers; ++layer)
        for (SiteKind kind : format::kSites)
            for (const format::LinearInfo& linear : format::siteLinears(config, layer, kind))
                bytes += store.at(linear.prefix + ".weight").bytes.size();
    return bytes;
}

/// Layers, and the head where it is quantised, as they wait on disk for the joined file.
uint64_t bakedBytes(const CalibrateOptions& options, const format::ModelConfig& config) {
    if (options.weightBits == 16) return 0;
    uint64_t bytes = 0;
    for (SiteKind kind : format::kSites)
        bytes += static_cast<uint64_t>(config.layers) * bakedBytes(options, sizeOf(config, kind));
    if (options.headBits != 16) bytes += bakedBytes(headOptions(options), sizeOf(config, SiteKind::Head));
    return bytes;
}

/// What rounding beyond nearest holds of a site: moments with their factors, targets in double, codes that are tried.
uint64_t roundingBytes(const CalibrateOptions& options, const SiteSize& size, uint64_t threads) {
    if (!heedsStream(options)) return 0;
    const uint64_t square = 8 * size.inputs * size.inputs;
    if (options.rounding == Rounding::WaterSic) return 5 * square + (3 * 8 + 3 * 4) * size.inputs * size.outputs;
    const uint64_t piece = 8 * size.inputs * 256 * 2;  // of the rows that a thread rounds
    // Hessian, drift and one factor: that of the targets is gone before GPTQ's.
    return 3 * square + (2 * 8 + 4 + 8) * size.inputs * size.widest + threads * piece;
}

/// What this process holds already: program, libraries, tokenizer, texts. The run will hold the same.
uint64_t residentBytes() {
    constexpr uint64_t kElsewhere = uint64_t{16} << 20, kPage = 4096;
    std::ifstream file("/proc/self/statm");
    uint64_t pages = 0, resident = 0;
    return file >> pages >> resident ? resident * kPage : kElsewhere;
}

/// Bytes of a site while it is worked on, but for its weights as floats and what was kept of its inputs.
uint64_t siteBytes(const CalibrateOptions& options, const SiteSize& size, uint64_t rows, uint64_t threads) {
    const uint64_t matrix = size.inputs * size.outputs;
    // Floats as copied and as transformed, codes of both; of each thread their float form for one product and the
    // outputs of its share of the kept rows. Rounding is over when floats behind the alignment alone are made.
    const uint64_t judged = std::min(threads * kJudgedRows, rows);
    const uint64_t aligned = options.transform == TransformKind::Cat ? 4 * matrix : 0;
    return 4 * matrix + 2 * matrix + 4 * threads * size.inputs * size.widest + 4 * 4 * judged * size.outputs +
           std::max(aligned, roundingBytes(options, size, threads));
}

uint64_t momentBytes(const CalibrateOptions& options, const SiteSize& size) {
    const auto block = static_cast<uint64_t>(momentBlock(options, static_cast<int64_t>(size.inputs)));
    return SecondMoments::sizeBytes(static_cast<Eigen::Index>(size.inputs), static_cast<Eigen::Index>(block));
}

/// The head's turn, when no layer is in memory.
uint64_t headBytes(const CalibrateOptions& options, const format::ModelConfig& config, uint64_t rows,
                   uint64_t threads) {
    if (options.headBits == 16) return 0;
    const SiteSize size = sizeOf(config, SiteKind::Head);
    const uint64_t sums = momentBytes(options, size);
    return 4 * size.inputs * size.outputs + 4 * rows * size.inputs + (threads + 1) * sums +
           siteBytes(headOptions(options), size, rows, threads);
}

/// The resident peak: what lives through the run, plus the largest of the two phases of a layer, of the head and of the
/// passes over the files, which keep one tensor's pages.
uint64_t peakBytes(const CalibrateOptions& options, const format::ModelConfig& config, uint64_t tokens,
                   uint64_t longest, uint64_t largestTensor, uint64_t threads) {
    const auto d = static_cast<uint64_t>(config.hiddenSize);
    const uint64_t rows = std::min(tokens, kKeptRows);
    uint64_t weights = 0, moments = 0, kept = 0, sitePhase = 0, activations = 4 * d;
    for (SiteKind kind : format::kSites) {
        const SiteSize size = sizeOf(config, kind);
        const uint64_t sums = momentBytes(options, size);
        weights += 4 * size.inputs * size.outputs;
        moments += sums;
        kept += 4 * rows * size.inputs;
        activations += size.inputs + size.outputs;
        // Beyond nearest both streams keep the inputs of the site o while it is rounded.
        const uint64_t attention = heedsStream(options) && kind == SiteKind::O ? 8 * tokens * size.inputs : 0;
        sitePhase = std::max(sitePhase, siteBytes(options, size, rows, threads) + sums + attention);
    }
    const uint64_t scores = 64 * longest;  // of one tile of queries
    const uint64_t observePhase = threads * (4 * (longest * activations + scores) + moments);
    const uint64_t program = residentBytes() + threads * (uint64_t{4} << 20);  // and buffers of the BLAS
    // Hidden states: the float stream; beyond nearest the quantised one too and the float stream led ahead of both.
    const uint64_t states = 4 * tokens * (heedsStream(options) ? 3 * d : d);
    const uint64_t layer = weights + moments + kept + std::max(observePhase, sitePhase);
    return program +
           std::max(largestTensor, states + std::max(layer, headBytes(options, config, rows, threads)));
}

}  // namespace

Estimate estimate(const CalibrateOptions& options) {
    validate(options);
    const format::ModelConfig config = format::readModelConfig(options.modelDir);
    const format::TensorStore store(options.modelDir);
    format::requireModelTensors(config, store);
    if (config.quantization)
        throw Error(Result::Unsupported,
                    options.modelDir.string() + ": is calibrated already; start from the float model");
    if (!options.statistics.empty())
        throw Error(Result::InvalidArgument, "an estimate needs the texts: it counts their tokens");
    const std::vector<Sequence> sequences =
        readSequences(options.texts, text::Tokenizer(options.modelDir), config.maxPositions);
    const int threads = threadCount(options.threads);
    Estimate result;
    result.layers = config.layers;
    result.sequences = sequences.size();
    uint64_t longest = 0;
    for (const Sequence& sequence : sequences) {
        result.tokens += sequence.size();
        longest = std::max<uint64_t>(longest, sequence.size());
    }
    const uint64_t layers = bakedBytes(options, config);
    result.outputBytes = modelBytes(options.modelDir) - linearBytes(options, config, store) + layers;
    result.diskBytes = result.outputBytes + layers;
    uint64_t largest = 0;
    for (const format::TensorView& tensor : store.tensors()) largest = std::max<uint64_t>(largest, tensor.bytes.size());
    if (options.permuteResidual != Permute::None) largest *= 2;  // read, and written in another order
    result.peakBytes = options.weightBits == 16 ? residentBytes() + largest
                                                : peakBytes(options, config, result.tokens, longest, largest,
                                                            static_cast<uint64_t>(threads));
    std::error_code status;
    fs::path place = fs::absolute(WorkFolder::pathFor(options.outDir), status);
    while (!fs::exists(place, status) && place.has_relative_path()) place = place.parent_path();
    const fs::space_info space = fs::space(place, status);
    result.freeDiskBytes = status ? 0 : space.available;
    if (options.weightBits != 16) result.seconds = workSeconds(options, config, sequences, threads);
    return result;
}

}  // namespace vulcat::calibrate

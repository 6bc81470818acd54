#include "calibrate/calibrate.h"

#include "calibrate/bake.h"
#include "calibrate/decoder.h"
#include "calibrate/fingerprint.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/rounding.h"
#include "calibrate/sqnr.h"
#include "calibrate/statistics.h"
#include "calibrate/transforms.h"
#include "calibrate/work_folder.h"

#include "text/tokenizer.h"

#include "base/error.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vulcat::calibrate {

namespace {

namespace fs = std::filesystem;

/// What passed one site of the present layer.
struct SiteInputs {
    SecondMoments moments;
    Matrix rows;  ///< the kept rows, [R, K]
};

/// One calibration, from the opened inputs to the finished folder.
class Run {
  public:
    Run(const CalibrateOptions& options, const Progress& progress);
    Report execute();

  private:
    void checkStop(size_t layer) const;
    void forwardOnly(size_t layer);
    std::vector<SiteInputs> observe(size_t index, const Layer& layer);
    void calibrateLayer(size_t index);
    BakedSite bakeSite(size_t index, SiteKind kind, Site& floats, const SiteInputs& inputs, SiteReport& report) const;
    SiteTransform buildTransform(const SiteInputs& inputs, const SecondMoments& weightMoments) const;
    void writeAll(Report& report);

    const CalibrateOptions& options_;
    SerialBlas serial_;
    Decoder decoder_;
    int threads_;
    std::vector<Sequence> sequences_;
    std::vector<uint64_t> firstRow_;  ///< of each sequence among all tokens, and their number at the end
    std::vector<uint64_t> keptRows_;
    nlohmann::json recipe_;
    std::string fingerprint_;
    WorkFolder work_;
    ProgressMeter meter_;
    uint64_t siteUnits_;
    std::vector<Matrix> hidden_;
};

std::vector<Sequence> readInputs(const CalibrateOptions& options, const Decoder& decoder) {
    if (decoder.config().quantization)
        throw Error(Result::Unsupported,
                    options.modelDir.string() + ": is calibrated already; start from the float model");
    for (const format::TensorView& tensor : decoder.tensors().tensors())
        if (tensor.dtype == format::DType::F32 || tensor.dtype == format::DType::F16 ||
            tensor.dtype == format::DType::BF16)
            format::requireFinite(tensor);
    return readSequences(options.texts, text::Tokenizer(options.modelDir), decoder.config().maxPositions);
}

std::vector<uint64_t> rowOffsets(const std::vector<Sequence>& sequences) {
    std::vector<uint64_t> offsets{0};
    for (const Sequence& sequence : sequences) offsets.push_back(offsets.back() + sequence.size());
    return offsets;
}

Run::Run(const CalibrateOptions& options, const Progress& progress)
    : options_(options),
      decoder_(options.modelDir),
      threads_(threadCount(options.threads)),
      sequences_(readInputs(options, decoder_)),
      firstRow_(rowOffsets(sequences_)),
      keptRows_(chooseRows(firstRow_.back(), kKeptRows, options.seed)),
      recipe_(recipeJson(options)),
      fingerprint_(fingerprint(recipe_, options.seed, decoder_.tensors(), sequences_)),
      work_(options.outDir, fingerprint_, options.overwrite),
      meter_(progress, 0),
      siteUnits_(std::max<uint64_t>(1, sequences_.size() / 4)) {
    const uint64_t layerUnits = sequences_.size() + 4 * siteUnits_;
    meter_ = ProgressMeter(progress, static_cast<uint64_t>(decoder_.config().layers) * layerUnits);
}

void Run::checkStop(size_t layer) const {
    if (options_.stop == nullptr || !*options_.stop) return;
    throw Error(Result::Cancelled, "stopped after " + std::to_string(layer) + " of " +
                                       std::to_string(decoder_.config().layers) +
                                       " layers; the same command goes on from there");
}

void Run::forwardOnly(size_t layer) {
    const Layer floats = decoder_.layer(static_cast<int>(layer));
    parallelFor(hidden_.size(), threads_, [&](size_t s) {
        checkStop(layer);
        decoder_.run(floats, hidden_[s]);
    });
    meter_.skip(4 * siteUnits_);
    meter_.advance(sequences_.size());
}

std::vector<SiteInputs> Run::observe(size_t index, const Layer& layer) {
    const auto emptyMoments = [&](SiteKind kind) {
        const auto width = static_cast<Eigen::Index>(format::siteWidth(decoder_.config(), kind));
        return SecondMoments(width, momentBlock(options_, width));
    };
    std::vector<SiteInputs> sites;
    for (SiteKind kind : format::kSites) {
        SecondMoments moments = emptyMoments(kind);
        const Eigen::Index width = moments.width();
        sites.push_back({std::move(moments), Matrix(static_cast<Eigen::Index>(keptRows_.size()), width)});
    }
    // Sequences run in waves of one a thread; their sums are merged in the order of the sequences, so that the total
    // does not depend on how many threads there are.
    const auto wave = static_cast<size_t>(threads_);
    for (size_t first = 0; first < hidden_.size(); first += wave) {
        const size_t count = std::min(wave, hidden_.size() - first);
        std::vector<std::vector<SecondMoments>> sums(count);
        parallelFor(count, threads_, [&](size_t i) {
            checkStop(index);
            for (SiteKind kind : format::kSites) sums[i].push_back(emptyMoments(kind));
            const size_t s = first + i;
            decoder_.run(layer, hidden_[s], [&](SiteKind kind, const Matrix& x) {
                const auto site = static_cast<size_t>(kind);
                // First tokens often carry a few huge activations that no other token has; as one direction in the sums
                // they would steer a transform that serves every token.
                sums[i][site].add(x.bottomRows(x.rows() - 1));
                const auto begin = std::lower_bound(keptRows_.begin(), keptRows_.end(), firstRow_[s]);
                for (auto row = begin; row != keptRows_.end() && *row < firstRow_[s + 1]; ++row)
                    sites[site].rows.row(row - keptRows_.begin()) =
                        x.row(static_cast<Eigen::Index>(*row - firstRow_[s]));
            });
        });
        for (const auto& partial : sums)
            for (size_t site = 0; site < sites.size(); ++site) sites[site].moments.add(partial[site]);
        meter_.advance(count);
    }
    return sites;
}

SiteTransform Run::buildTransform(const SiteInputs& inputs, const SecondMoments& weightMoments) const {
    switch (options_.transform) {
        case TransformKind::None:
            break;
        case TransformKind::Hadamard:
            return hadamardTransform(inputs.moments.width());
        case TransformKind::Cat:
            return catTransform(inputs.moments, weightMoments, options_.block, Damping{}, threads_);
    }
    return {};
}

/// The quantised form of linears that were transformed already. `rows` are inputs before the transform.
Site quantise(const CalibrateOptions& options, const std::vector<Linear>& floats,
              const std::vector<Matrix>& transformed, const std::optional<format::Transform>& transform,
              const Matrix& rows, int threads) {
    const std::vector<float> energy = relativeMeanSquares(transform ? applyTransform(*transform, rows) : rows);
    Site site;
    site.recipe = siteRecipe(options, transform);
    site.transform = transform;
    for (size_t i = 0; i < floats.size(); ++i) {
        Linear linear;
        linear.bias = floats[i].bias;
        linear.codes =
            roundWeights(transformed[i], options.weightBits, options.groupSize, options.scales, threads, energy);
        site.linears.push_back(std::move(linear));
    }
    return site;
}

BakedSite Run::bakeSite(size_t index, SiteKind kind, Site& floats, const SiteInputs& inputs, SiteReport& report) const {
    BakedSite baked;
    baked.name = format::siteName(static_cast<int>(index), kind);
    for (const format::LinearInfo& info : format::siteLinears(decoder_.config(), static_cast<int>(index), kind))
        baked.prefixes.push_back(info.prefix);
    SecondMoments weightMoments(inputs.moments.width(), inputs.moments.block());
    std::vector<Matrix> plain;
    for (const Linear& linear : floats.linears) {
        weightMoments.add(linear.weight);
        plain.push_back(linear.weight);
        report.outputs += static_cast<int>(linear.outputs());
    }
    SiteTransform transform = buildTransform(inputs, weightMoments);
    report.site = baked.name;
    report.inputs = static_cast<int>(inputs.moments.width());
    report.notes = std::move(transform.notes);
    report.before = judgeSite(quantise(options_, floats.linears, plain, std::nullopt, inputs.rows, threads_),
                              floats.linears, plain, inputs.rows);
    report.after = report.before;
    if (transform.stored) {
        std::vector<Matrix> transformed = std::move(plain);
        for (Matrix& weight : transformed) weight = transformWeights(*transform.stored, weight, threads_);
        baked.site = quantise(options_, floats.linears, transformed, transform.stored, inputs.rows, threads_);
        report.after = judgeSite(baked.site, floats.linears, transformed, inputs.rows);
        if (report.after.measured < report.before.measured)
            report.notes.push_back("the transform did not help here: measured SQNR fell");
    } else {
        baked.site = quantise(options_, floats.linears, plain, std::nullopt, inputs.rows, threads_);
    }
    report.block = baked.site.recipe.block;
    report.mixOrder = baked.site.recipe.mixOrder;
    const double signal = meanSignal(floats.linears, inputs.rows);
    report.attainableBlock = attainableAlignment(inputs.moments, weightMoments, options_.block, signal, threads_);
    if (inputs.moments.whole())
        report.attainable = attainableAlignment(inputs.moments, weightMoments, 0, signal, threads_);
    return baked;
}

void Run::calibrateLayer(size_t index) {
    const std::string name = "layer " + std::to_string(index + 1) + " of " + std::to_string(decoder_.config().layers);
    Layer layer = decoder_.layer(static_cast<int>(index));
    meter_.stage(name + ": statistics");
    const std::vector<SiteInputs> inputs = observe(index, layer);
    std::vector<BakedSite> baked;
    std::vector<SiteReport> reports;
    for (SiteKind kind : format::kSites) {
        checkStop(index);
        meter_.stage(name + ": " + std::string(format::siteSuffix(kind)));
        SiteReport report;
        Site& floats = layer.site(kind);
        baked.push_back(bakeSite(index, kind, floats, inputs[static_cast<size_t>(kind)], report));
        floats = {};  // its floats are not needed any more
        reports.push_back(std::move(report));
        meter_.advance(siteUnits_);
    }
    writeLayer(work_.layerFile(index), baked);
    work_.commitLayer(std::move(reports));
}

void Run::writeAll(Report& report) {
    OutputParts parts;
    parts.source = &decoder_.tensors();
    const auto layers = static_cast<size_t>(decoder_.config().layers);
    for (size_t l = 0; l < work_.layers().size(); ++l) {
        parts.layerFiles.push_back(work_.layerFile(l));
        for (size_t k = 0; k < format::kSites.size(); ++k) {
            const SiteReport& site = work_.layers()[l][k];
            format::SiteRecipe recipe = siteRecipe(options_, std::nullopt);
            recipe.block = site.block;
            recipe.mixOrder = site.mixOrder;
            recipe.mixStride = site.mixOrder > 1 ? site.inputs / site.mixOrder : 1;
            parts.sites[site.site] = recipe;
            for (const auto& info : format::siteLinears(decoder_.config(), static_cast<int>(l), format::kSites[k]))
                parts.replaced.push_back(info.prefix + ".weight");
        }
    }
    meter_.stage("writing " + options_.outDir.string());
    writeOutput(work_.beginOutput(), parts, report, [&] { checkStop(layers); });
}

Report Run::execute() {
    Report report;
    report.recipe = recipe_;
    report.tokens = firstRow_.back();
    report.sequences = sequences_.size();
    report.fingerprint = fingerprint_;
    const auto layers = static_cast<size_t>(decoder_.config().layers);
    const size_t done = work_.layers().size();
    report.resumed = done > 0 || work_.outputComplete();
    if (!work_.outputComplete()) {
        if (options_.weightBits != 16 && done < layers) {
            for (const Sequence& sequence : sequences_) hidden_.push_back(decoder_.embed(sequence));
            for (size_t l = 0; l < layers; ++l) {
                if (l < done) {
                    meter_.stage("layer " + std::to_string(l + 1) + " of " + std::to_string(layers) + ": done before");
                    forwardOnly(l);
                } else {
                    calibrateLayer(l);
                }
            }
        }
        for (const auto& sites : work_.layers()) report.sites.insert(report.sites.end(), sites.begin(), sites.end());
        writeAll(report);
    }
    work_.finish();
    return report;
}

}  // namespace

Report calibrate(const CalibrateOptions& options, const Progress& progress) {
    validate(options);
    std::error_code status;
    if (fs::exists(options.outDir, status) && fs::equivalent(options.outDir, options.modelDir, status))
        throw Error(Result::InvalidArgument,
                    options.outDir.string() + ": is the model folder itself; choose another output");
    if (!fs::exists(WorkFolder::pathFor(options.outDir), status))
        WorkFolder::requireFree(options.outDir, options.overwrite);
    return Run(options, progress).execute();
}

}  // namespace vulcat::calibrate

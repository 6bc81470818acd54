#include "calibrate/calibrate.h"

#include "calibrate/bake.h"
#include "calibrate/bit_plan.h"
#include "calibrate/coded_site.h"
#include "calibrate/decoder.h"
#include "calibrate/hidden_order.h"
#include "calibrate/observe.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/residual_order.h"
#include "calibrate/run_inputs.h"
#include "calibrate/site_work.h"
#include "calibrate/statistics_source.h"
#include "calibrate/team.h"
#include "calibrate/work_folder.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

namespace vulcat::calibrate {

namespace {

namespace fs = std::filesystem;

/// One calibration, from the opened inputs to the finished folder.
class Run {
  public:
    Run(const CalibrateOptions& options, const Progress& progress);
    Report execute();

  private:
    /// This process writes; with a team the others only compute along.
    bool leads() const { return options_.team == nullptr || options_.team->rank() == 0; }
    uint64_t layerUnits() const { return std::accumulate(siteUnits_.begin(), siteUnits_.end() - 1, uint64_t{0}); }
    uint64_t headUnits() const { return siteUnits_.back(); }
    bool quantisesHead() const { return options_.headBits != 16; }
    size_t layers() const { return static_cast<size_t>(decoder_.config().layers); }
    /// Layers and a quantised head: what the work folder counts.
    size_t steps() const { return layers() + (quantisesHead() ? 1 : 0); }
    void checkStop(size_t layer) const;
    std::vector<format::SiteRecipe> recipesOf(const std::vector<SiteReport>& sites) const;
    TrialRows trialRows(TrialSize size) const;
    void decideBeforeLayers(bool planned);
    std::vector<SiteInputs> readStatistics(size_t layer) const;
    void passFinished(size_t layer);
    void calibrateLayer(size_t index);
    void calibrateHead();
    SiteReport roundSite(SiteKind kind, SiteWork& work, const SiteInputs& inputs, const StreamPair* streams,
                         Site& quantised) const;
    void tellResidualOrder(SiteReport& report, const SiteInputs& inputs) const;
    void walkLayers();
    CalibrateOptions siteOptions(size_t layer, SiteKind kind, const std::vector<SiteReport>& layerSoFar) const;
    void tellPlan(size_t layer, SiteKind kind, SiteReport& report) const;
    void leave(size_t index, Stream&& ahead, const Layer& quantised);
    void writeAll(Report& report);

    const CalibrateOptions& options_;
    SerialBlas serial_;
    Decoder decoder_;
    int threads_;
    std::optional<StatisticsSource> statistics_;  ///< in place of sequences
    std::vector<Sequence> sequences_;
    nlohmann::ordered_json recipe_;
    std::string fingerprint_;
    WorkFolder work_;
    ProgressMeter meter_;
    std::array<uint64_t, format::kSiteKinds> siteUnits_;  ///< by SiteKind
    size_t layer_ = 0;  ///< that is being worked on; the head comes after the last
    Observer observer_;
    std::vector<SiteBits> bits_;  ///< of all sites, where there is a target
    ColumnOrder residual_;        ///< of the residual stream's channels; empty: the natural one
    std::optional<Stream> floats_;
    std::optional<Stream> quantised_;  ///< only where rounding heeds it
};

void tellOrder(SiteReport& report, Permute permute, const OrderedChannels& order) {
    report.permutation = nameOf(permute);
    report.massBefore = order.massBefore;
    report.massAfter = order.massAfter;
    report.attainableNatural = order.attainableBefore;
}

Run::Run(const CalibrateOptions& options, const Progress& progress)
    : options_(options),
      decoder_(options.modelDir),
      threads_(threadCount(options.threads)),
      statistics_(openStatistics(options, decoder_)),
      sequences_(readInputs(options, decoder_)),
      recipe_(recipeJson(options)),
      fingerprint_(fingerprintOf(options, recipe_, decoder_, sequences_, statistics_)),
      work_(openWork(options, fingerprint_)),
      meter_(progress, 0),
      siteUnits_(siteUnits(options, decoder_.config(), tokensOfOne(sequences_))),
      observer_(
          options, decoder_.config(), sequences_, threads_, [this] { checkStop(layer_); },
          [this](size_t sequences) { meter_.advance(sequences); }) {
    const uint64_t passes = heedsStream(options) ? 6 : 1;
    const uint64_t own = observer_.own(sequences_).size();
    // Both streams stop before the head once more.
    const uint64_t head = quantisesHead() ? headUnits() + (heedsStream(headOptions(options)) ? 2 : 1) * own : 0;
    meter_ = ProgressMeter(progress, layers() * (passes * own + layerUnits()) + head);
    for (size_t l = 0; l < work_.layers().size(); ++l)
        if (l >= steps() || work_.layers()[l].size() != format::sitesOf(decoder_.config(), static_cast<int>(l)).size())
            throw Error(Result::InvalidFile, WorkFolder::pathFor(options.outDir).string() +
                                                 "/manifest.json: lists other sites than the model has; remove the folder");
    if (options.team == nullptr) return;
    if (leads()) options.team->meet();  // the others wait for the folder, see openWork
    options.team->meet();               // and nobody goes on before all have seen what is finished
}

void Run::checkStop(size_t layer) const {
    if (options_.stop == nullptr || !*options_.stop) return;
    throw Error(Result::Cancelled, "stopped after " + std::to_string(layer) + " of " + std::to_string(layers()) +
                                       " layers; the same command goes on from there");
}

std::vector<format::SiteRecipe> Run::recipesOf(const std::vector<SiteReport>& sites) const {
    std::vector<format::SiteRecipe> recipes;
    for (const SiteReport& site : sites) recipes.push_back(siteRecipe(options_, site));
    return recipes;
}

TrialRows Run::trialRows(TrialSize size) const {
    return statistics_ ? rowsOfStatistics(*statistics_) : rowsOfTexts(decoder_, sequences_, threads_, size);
}

/// What needs a look at all layers first. The order of the residual stream comes last: trials see the folder's.
void Run::decideBeforeLayers(bool planned) {
    if (options_.targetBits && !planned) bits_ = planBits(options_, decoder_, trialRows({}), threads_);
    if (options_.permuteResidual == Permute::None) return;
    constexpr TrialSize kEnough = {16, 128};
    meter_.stage("order of the residual stream");
    residual_ = residualOrder(options_, decoder_, trialRows(kEnough), threads_);
    decoder_.orderResidual(residual_);
}

/// A file of statistics knows the natural order.
std::vector<SiteInputs> Run::readStatistics(size_t layer) const {
    std::vector<SiteInputs> inputs = statistics_->layer(static_cast<int>(layer));
    const std::span<const SiteKind> kinds = format::sitesOf(decoder_.config(), static_cast<int>(layer));
    for (size_t i = 0; i < inputs.size() && !residual_.empty(); ++i) {
        if (!readsResidual(kinds[i])) continue;
        inputs[i].rows = columnsInOrder(inputs[i].rows, residual_);
        inputs[i].moments = inputs[i].moments.inOrder(residual_);
    }
    return inputs;
}

/// A layer that an earlier run finished.
void Run::passFinished(size_t layer) {
    const Layer floats = decoder_.layer(static_cast<int>(layer));
    Layer baked;
    if (quantised_) {
        baked = floats;
        readLayer(work_.layerFile(layer), decoder_.config(), static_cast<int>(layer), recipesOf(work_.layers()[layer]),
                  baked);
    }
    parallelFor(floats_->size(), threads_, [&](size_t s) {
        checkStop(layer);
        floats_->run(floats, s);
        if (quantised_) quantised_->run(baked, s);
    });
    const uint64_t passes = heedsStream(options_) ? 5 : 0;
    meter_.skip(layerUnits() + passes * floats_->size());
    meter_.advance(floats_->size());
}

void Run::leave(size_t index, Stream&& ahead, const Layer& quantised) {
    *floats_ = std::move(ahead);
    parallelFor(floats_->size(), threads_, [&](size_t s) {
        checkStop(index);
        quantised_->leave(quantised, s);
    });
    meter_.advance(floats_->size());
}

/// The options with the bits that this site gets.
CalibrateOptions Run::siteOptions(size_t layer, SiteKind kind, const std::vector<SiteReport>& layerSoFar) const {
    CalibrateOptions options = options_;
    if (!bits_.empty() && bits_[layer * format::kSites.size() + static_cast<size_t>(kind)].weightBits == 8) {
        options.weightBits = 8;
        options.activationBits = std::max(options.activationBits, 8);
    }
    if (options.rounding != Rounding::WaterSic) return options;
    double all = 0, done = 0, bits = 0;
    for (SiteKind site : format::kSites)
        for (const format::LinearInfo& linear : format::siteLinears(decoder_.config(), 0, site))
            all += static_cast<double>(linear.rows * linear.columns) * decoder_.config().layers;
    const auto count = [&](const std::vector<SiteReport>& sites) {
        for (const SiteReport& site : sites) {
            const double weights = static_cast<double>(site.inputs) * site.outputs;
            done += weights;
            bits += weights * site.bitsPerWeight;
        }
    };
    for (const std::vector<SiteReport>& sites : work_.layers()) count(sites);
    count(layerSoFar);
    options.rate = remainingRate(options.rate, all, done, bits);
    return options;
}

void Run::tellPlan(size_t layer, SiteKind kind, SiteReport& report) const {
    if (bits_.empty()) return;
    const SiteBits& plan = bits_[layer * format::kSites.size() + static_cast<size_t>(kind)];
    if (plan.weightBits != 8) return;
    char text[160];
    std::snprintf(text, sizeof text,
                  "8 bits: tried with 4 the site kept %.1f dB, among the lowest of the model, and the target of %.2f "
                  "bits a weight has room for it",
                  plan.sqnr, *options_.targetBits);
    report.notes.emplace_back(text);
}

/// Codes for the inputs that the streams show behind the transform; without streams for those of the float model.
SiteReport Run::roundSite(SiteKind kind, SiteWork& work, const SiteInputs& inputs, const StreamPair* streams,
                          Site& quantised) const {
    if (streams != nullptr) return work.finish(observer_.atSite(kind, *streams, work.transform()), quantised);
    if (!statistics_ || !work.heedsStream()) return work.finish({}, quantised);
    SiteReport report = work.finish(floatMoments(inputs.moments, work.transform(), threads_), quantised);
    report.notes.emplace_back(
        "rounded for the float model's inputs: a file of statistics knows none of the model quantised so far");
    return report;
}

void Run::tellResidualOrder(SiteReport& report, const SiteInputs& inputs) const {
    if (options_.permuteResidual == Permute::None) return;
    if (residual_.empty())
        report.notes.emplace_back("the residual stream keeps its order: one block takes in all of it");
    else
        tellOrder(report, options_.permuteResidual, judgeResidualOrder(options_, residual_, inputs.rows));
}

void Run::calibrateLayer(size_t index) {
    const std::string name = "layer " + std::to_string(index + 1) + " of " + std::to_string(decoder_.config().layers);
    const bool heeds = heedsStream(options_) && !statistics_;
    Layer layer = decoder_.layer(static_cast<int>(index));
    meter_.stage(name + ": statistics");
    // Where a second stream goes along, both are led through the sites together later; the float stream then goes on
    // from here, as it does in a run that was interrupted.
    std::optional<Stream> ahead;
    if (heeds) ahead.emplace(*floats_);
    std::vector<SiteInputs> inputs =
        statistics_ ? readStatistics(index) : observer_.throughLayer(layer, ahead ? *ahead : *floats_);
    Layer quantised;
    quantised.attentionNorm = layer.attentionNorm;
    quantised.mlpNorm = layer.mlpNorm;
    std::vector<std::string> orderNotes;
    const std::optional<OrderedChannels> order =
        orderHidden(options_, layer, inputs[static_cast<size_t>(SiteKind::Down)], threads_, orderNotes);
    std::vector<BakedSite> baked;
    std::vector<SiteReport> reports;
    for (SiteKind kind : format::kSites) {
        checkStop(index);
        meter_.stage(name + ": " + std::string(format::siteSuffix(kind)));
        BakedSite bake{format::siteName(static_cast<int>(index), kind), {}, &quantised.site(kind)};
        for (const format::LinearInfo& info : format::siteLinears(decoder_.config(), static_cast<int>(index), kind))
            bake.prefixes.push_back(info.prefix);
        const SiteInputs& seen = inputs[static_cast<size_t>(kind)];
        SiteWork work(siteOptions(index, kind, reports), layer.site(kind), seen, threads_);
        std::optional<StreamPair> streams;
        if (heeds) streams.emplace(StreamPair{*floats_, layer, *quantised_, quantised});
        SiteReport report = roundSite(kind, work, seen, streams ? &*streams : nullptr, quantised.site(kind));
        report.site = bake.name;
        tellPlan(index, kind, report);
        if (kind == SiteKind::Down) {
            report.notes.insert(report.notes.end(), orderNotes.begin(), orderNotes.end());
            if (order) tellOrder(report, options_.permute, *order);
        } else if (readsResidual(kind)) {
            tellResidualOrder(report, seen);
        }
        reports.push_back(std::move(report));
        baked.push_back(std::move(bake));
        meter_.advance(siteUnits_[static_cast<size_t>(kind)]);
    }
    if (heeds) leave(index, std::move(*ahead), quantised);
    if (leads()) writeLayer(work_.layerFile(index), baked);
    work_.commitLayer(std::move(reports));
}

/// The output layer, behind the layers as they are now.
void Run::calibrateHead() {
    constexpr SiteKind kHead = SiteKind::Head;
    checkStop(layers());
    meter_.stage("output layer");
    const CalibrateOptions options = headOptions(options_);
    const SiteInputs inputs =
        statistics_ ? std::move(readStatistics(layers()).front()) : observer_.atHead(*floats_);
    const Site floats = decoder_.head();
    const Layer none;
    SiteWork work(options, floats, inputs, threads_);
    std::optional<StreamPair> streams;
    if (quantised_ && heedsStream(options)) streams.emplace(StreamPair{*floats_, none, *quantised_, none});
    Site quantised;
    SiteReport report = roundSite(kHead, work, inputs, streams ? &*streams : nullptr, quantised);
    report.site = format::kHeadSite;
    tellResidualOrder(report, inputs);
    const BakedSite baked{report.site, {std::string(format::kHeadSite)}, &quantised};
    if (leads()) writeLayer(work_.layerFile(layers()), {&baked, 1});
    work_.commitLayer({std::move(report)});
    meter_.advance(headUnits());
}

void Run::writeAll(Report& report) {
    OutputParts parts;
    parts.source = &decoder_.tensors();
    for (size_t l = 0; l < work_.layers().size(); ++l) {
        parts.layerFiles.push_back(work_.layerFile(l));
        const std::vector<format::SiteRecipe> recipes = recipesOf(work_.layers()[l]);
        const std::span<const SiteKind> kinds = format::sitesOf(decoder_.config(), static_cast<int>(l));
        for (size_t k = 0; k < kinds.size(); ++k) {
            parts.sites[work_.layers()[l][k].site] = recipes[k];
            for (const auto& info : format::siteLinears(decoder_.config(), static_cast<int>(l), kinds[k]))
                parts.replaced.push_back(info.prefix + ".weight");
        }
    }
    meter_.stage("writing " + options_.outDir.string());
    if (!residual_.empty()) parts.reordered = residualTensors(decoder_.config());
    parts.order = residual_;
    writeOutput(work_.beginOutput(), parts, report, [&] { checkStop(layers()); });
}

void Run::walkLayers() {
    const size_t done = work_.layers().size();
    if (!statistics_) floats_.emplace(decoder_, observer_.own(sequences_));
    if (floats_ && heedsStream(options_)) quantised_.emplace(*floats_);
    for (layer_ = 0; layer_ < layers(); ++layer_) {
        if (layer_ < done) {
            meter_.stage("layer " + std::to_string(layer_ + 1) + " of " + std::to_string(layers()) + ": done before");
            if (floats_) passFinished(layer_);
        } else {
            calibrateLayer(layer_);
        }
    }
    if (quantisesHead()) calibrateHead();
}

Report Run::execute() {
    Report report;
    report.recipe = recipe_;
    report.tokens = statistics_ ? statistics_->header().tokens : observer_.tokens();
    report.sequences = statistics_ ? statistics_->header().sequences : sequences_.size();
    report.fingerprint = fingerprint_;
    const size_t done = work_.layers().size();
    report.resumed = done > 0 || work_.outputComplete();
    if (!work_.outputComplete()) {
        if (options_.weightBits != 16) decideBeforeLayers(done >= layers());
        if (options_.weightBits != 16 && done < steps()) walkLayers();
        for (const auto& sites : work_.layers()) report.sites.insert(report.sites.end(), sites.begin(), sites.end());
        if (leads()) writeAll(report);
    }
    if (leads()) work_.finish();
    if (options_.team != nullptr) options_.team->meet();
    return report;
}

}  // namespace

Report calibrate(const CalibrateOptions& options, const Progress& progress) {
    validate(options);
    std::error_code status;
    if (fs::exists(options.outDir, status) && fs::equivalent(options.outDir, options.modelDir, status))
        throw Error(Result::InvalidArgument,
                    options.outDir.string() + ": is the model folder itself; choose another output");
    const bool leads = options.team == nullptr || options.team->rank() == 0;
    if (leads && !fs::exists(WorkFolder::pathFor(options.outDir), status))
        WorkFolder::requireFree(options.outDir, options.overwrite);
    return Run(options, progress).execute();
}

}  // namespace vulcat::calibrate

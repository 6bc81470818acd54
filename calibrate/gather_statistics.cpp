#include "calibrate/gather_statistics.h"

#include "calibrate/decoder.h"
#include "calibrate/fingerprint.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/texts.h"

#include "text/tokenizer.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <utility>

namespace vulcat::calibrate {

namespace {

namespace fs = std::filesystem;

/// Layers that are finished, in a folder beside the file they will be joined in.
class GatheredLayers {
  public:
    GatheredLayers(const fs::path& file, StatisticsHeader header)
        : file_(file), folder_(file.string() + ".layers"), header_(std::move(header)) {}

    fs::path layerFile(int layer) const {
        char name[40];
        std::snprintf(name, sizeof name, "layer-%04d.safetensors", layer);
        return folder_ / name;
    }
    /// Whether an earlier run with the same inputs wrote the layer. A damaged file is one that is not there.
    bool finished(int layer) const {
        std::error_code status;
        if (!fs::exists(layerFile(layer), status)) return false;
        try {
            const StatisticsFile stored(layerFile(layer));
            const StatisticsHeader& h = stored.header();
            return h.model == header_.model && h.texts == header_.texts && h.rows == header_.rows &&
                   h.shares == header_.shares && h.shareCount == header_.shareCount;
        } catch (const Error&) {
            return false;
        }
    }
    void begin() const {
        std::error_code status;
        fs::create_directory(folder_, status);
        if (status) throw Error(Result::Failure, "cannot create " + folder_.string() + ": " + status.message());
    }
    void write(int layer, const std::vector<uint64_t>& keptRows, const format::ModelConfig& config,
               const std::vector<SiteStatistics>& sites) const {
        StatisticsWriter writer(layerFile(layer), header_, keptRows, config, layer, layer + 1);
        const std::span<const format::SiteKind> kinds = format::sitesOf(config, layer);
        for (size_t i = 0; i < kinds.size(); ++i) writer.write(format::siteName(layer, kinds[i]), sites[i]);
        writer.finish();
    }
    /// One file of all layers in place of the folder.
    void join(const std::vector<uint64_t>& keptRows, const format::ModelConfig& config) const {
        StatisticsWriter writer(file_, header_, keptRows, config, 0, config.layers + 1);
        for (int layer = 0; layer <= config.layers; ++layer) {
            const StatisticsFile stored(layerFile(layer));
            for (format::SiteKind kind : format::sitesOf(config, layer)) {
                const std::string site = format::siteName(layer, kind);
                writer.write(site, stored.read(site, static_cast<Eigen::Index>(format::siteWidth(config, kind))));
            }
        }
        writer.finish();
        std::error_code status;  // the file stands; what cannot be removed now is no failure
        fs::remove_all(folder_, status);
    }

  private:
    fs::path file_, folder_;
    StatisticsHeader header_;
};

/// One share of the sequences on its way through the float model.
class Gatherer {
  public:
    Gatherer(const CalibrateOptions& options, const Decoder& decoder, std::span<const Sequence> all, const Share& share)
        : options_(options),
          decoder_(decoder),
          threads_(threadCount(options.threads)),
          kept_(keptIn(options, all, share)),
          team_(options.team) {
        // Processes that work together divide the share once more.
        Share part = share;
        if (team_ != nullptr) {
            part.index = share.index * team_->size() + team_->rank();
            part.count = share.count * team_->size();
        }
        uint64_t token = 0;
        for (size_t s = 0; s < part.end(all.size()); token += all[s++].size()) {
            if (s < part.begin(all.size())) continue;
            hidden_.push_back(decoder.embed(all[s]));
            firstToken_.push_back(token);
        }
    }

    const std::vector<uint64_t>& kept() const { return kept_; }
    void check() const {
        if (options_.stop != nullptr && *options_.stop)
            throw Error(Result::Cancelled, "stopped; the same command goes on after the last finished layer");
    }
    void pass(const Layer& layer) {
        parallelFor(hidden_.size(), threads_, [&](size_t s) {
            check();
            decoder_.run(layer, hidden_[s]);
        });
    }
    /// What passes the layer's sites, by SiteKind.
    std::vector<SiteStatistics> observe(const Layer& layer) {
        return gather(format::kSites, [&](size_t s, Seen& seen) {
            decoder_.run(layer, hidden_[s],
                         [&](format::SiteKind kind, const Matrix& x) { seen[static_cast<size_t>(kind)] = x; });
        });
    }
    /// What passes the head after the last layer.
    std::vector<SiteStatistics> observeHead() {
        return gather(format::kHeadSites, [&](size_t s, Seen& seen) { seen[0] = decoder_.headInput(hidden_[s]); });
    }

  private:
    using Seen = std::array<Matrix, format::kSites.size()>;  ///< inputs of one sequence

    /// Sequences run a wave at a time, one a thread; their sums are merged in the order of the sequences, so that the
    /// total does not depend on how many threads there are.
    std::vector<SiteStatistics> gather(std::span<const format::SiteKind> kinds,
                                       const std::function<void(size_t s, Seen& seen)>& lead) {
        std::vector<SiteStatistics> sites;
        for (format::SiteKind kind : kinds) {
            const auto width = static_cast<Eigen::Index>(format::siteWidth(decoder_.config(), kind));
            sites.push_back({SecondMoments(width, 0), Matrix::Zero(static_cast<Eigen::Index>(kept_.size()), width)});
        }
        const auto wave = static_cast<size_t>(threads_);
        for (size_t first = 0; first < hidden_.size(); first += wave) {
            const size_t count = std::min(wave, hidden_.size() - first);
            std::vector<Seen> seen(count);
            parallelFor(count, threads_, [&](size_t i) {
                check();
                lead(first + i, seen[i]);
            });
            for (size_t i = 0; i < count; ++i)
                for (size_t site = 0; site < sites.size(); ++site) addSeen(sites[site], seen[i][site], first + i);
        }
        if (team_ != nullptr)
            for (SiteStatistics& site : sites) addUp(site);
        return sites;
    }
    static std::vector<uint64_t> keptIn(const CalibrateOptions& options, std::span<const Sequence> all,
                                        const Share& share) {
        uint64_t token = 0, begin = 0, end = 0;
        for (size_t s = 0; s < all.size(); ++s) {
            if (s == share.begin(all.size())) begin = token;
            token += all[s].size();
            if (s + 1 == share.end(all.size())) end = token;
        }
        std::vector<uint64_t> kept;
        for (uint64_t row : chooseRows(token, kKeptRows, options.seed))
            if (row >= begin && row < end) kept.push_back(row);
        return kept;
    }
    void addSeen(SiteStatistics& site, const Matrix& x, size_t sequence) const {
        // First tokens often carry a few huge activations that no other token has; see calibrate().
        site.moments.add(x.bottomRows(x.rows() - 1), threads_);
        const uint64_t begin = firstToken_[sequence], end = begin + static_cast<uint64_t>(x.rows());
        for (auto row = std::lower_bound(kept_.begin(), kept_.end(), begin); row != kept_.end() && *row < end; ++row)
            site.rows.row(row - kept_.begin()) = x.row(static_cast<Eigen::Index>(*row - begin));
    }
    void addUp(SiteStatistics& site) const {
        std::vector<double> values = site.moments.packed();
        team_->sum(std::span<double>(values));
        team_->sum(std::span<float>(site.rows.data(), static_cast<size_t>(site.rows.size())));
        site.moments = SecondMoments::fromPacked(site.moments.width(), 0, 0, values);
    }

    const CalibrateOptions& options_;
    const Decoder& decoder_;
    int threads_;
    std::vector<uint64_t> kept_;  ///< of the whole share
    Team* team_;
    std::vector<Matrix> hidden_;
    std::vector<uint64_t> firstToken_;  ///< of each sequence of hidden_
};

StatisticsHeader headerOf(const CalibrateOptions& options, const Decoder& decoder, std::span<const Sequence> all,
                          const Share& share) {
    StatisticsHeader header;
    header.model = modelFingerprint(decoder.tensors());
    header.texts = textsFingerprint(all, options.seed);
    header.sequences = all.size();
    header.shares = {share.index};
    header.shareCount = share.count;
    for (size_t s = 0; s < all.size(); ++s) {
        header.tokens += all[s].size();
        if (s >= share.begin(all.size()) && s < share.end(all.size())) header.rows += all[s].size() - 1;
    }
    return header;
}

}  // namespace

std::string modelFingerprint(const format::TensorStore& store) {
    return fingerprint("statistics", 0, store, {});
}

std::string textsFingerprint(std::span<const Sequence> sequences, uint64_t seed) {
    Hasher hasher;
    hasher.add(seed);
    for (const Sequence& sequence : sequences) hasher.add(std::as_bytes(std::span(sequence)));
    return hasher.digest();
}

StatisticsHeader gatherStatistics(const CalibrateOptions& options, const Share& share, const fs::path& file,
                                  const Progress& progress) {
    if (share.count < 1 || share.index < 0 || share.index >= share.count)
        throw Error(Result::InvalidArgument, "a share is 1/n to n/n");
    const SerialBlas serial;
    const Decoder decoder(options.modelDir);
    const format::ModelConfig& config = decoder.config();
    if (config.quantization)
        throw Error(Result::Unsupported,
                    options.modelDir.string() + ": is calibrated already; start from the float model");
    const std::vector<Sequence> all =
        readSequences(options.texts, text::Tokenizer(options.modelDir), config.maxPositions);
    if (share.begin(all.size()) == share.end(all.size()))
        throw Error(Result::InvalidArgument, "share " + std::to_string(share.index + 1) + " of " +
                                                 std::to_string(share.count) + " is empty: there are only " +
                                                 std::to_string(all.size()) + " sequences");
    const StatisticsHeader header = headerOf(options, decoder, all, share);
    Gatherer gatherer(options, decoder, all, share);
    const GatheredLayers layers(file, header);
    const bool writes = options.team == nullptr || options.team->rank() == 0;
    if (writes) layers.begin();
    ProgressMeter meter(progress, static_cast<uint64_t>(config.layers) + 1);
    for (int l = 0; l < config.layers; ++l) {
        gatherer.check();
        meter.stage("layer " + std::to_string(l + 1) + " of " + std::to_string(config.layers) + ": statistics");
        const Layer layer = decoder.layer(l);
        // Alone, a run need not sum up again what is on disk; processes that work together must all do the same.
        if (options.team == nullptr && layers.finished(l)) {
            gatherer.pass(layer);
        } else {
            const std::vector<SiteStatistics> sites = gatherer.observe(layer);
            if (writes) layers.write(l, gatherer.kept(), config, sites);
        }
        meter.advance(1);
    }
    meter.stage("output layer: statistics");
    const std::vector<SiteStatistics> head = gatherer.observeHead();
    if (writes) layers.write(config.layers, gatherer.kept(), config, head);
    meter.advance(1);
    if (writes) layers.join(gatherer.kept(), config);
    if (options.team != nullptr) options.team->meet();
    return header;
}

}  // namespace vulcat::calibrate

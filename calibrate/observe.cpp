#include "calibrate/observe.h"

#include "calibrate/gram.h"
#include "calibrate/parallel.h"
#include "calibrate/plan.h"
#include "calibrate/team.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vulcat::calibrate {

namespace {

Matrix transformedRows(const std::optional<format::Transform>& transform, const Matrix& x) {
    return transform ? applyTransform(*transform, x) : x;
}

}  // namespace

Observer::Observer(const CalibrateOptions& options, const format::ModelConfig& config,
                   std::span<const Sequence> sequences, int threads, std::function<void()> check,
                   std::function<void(size_t)> advance)
    : options_(options),
      config_(config),
      threads_(threads),
      check_(std::move(check)),
      advance_(std::move(advance)),
      firstRow_{0} {
    for (const Sequence& sequence : sequences) firstRow_.push_back(firstRow_.back() + sequence.size());
    keptRows_ = chooseRows(firstRow_.back(), kKeptRows, options.seed);
    const Share share = options.team == nullptr ? Share{} : Share{options.team->rank(), options.team->size()};
    begin_ = share.begin(sequences.size());
    end_ = share.end(sequences.size());
}

void Observer::sumOverTeam(std::span<double> values) const {
    if (options_.team != nullptr) options_.team->sum(values);
}

void Observer::keepRows(Matrix& rows, const Matrix& x, size_t sequence) const {
    const auto begin = std::lower_bound(keptRows_.begin(), keptRows_.end(), firstRow_[sequence]);
    for (auto row = begin; row != keptRows_.end() && *row < firstRow_[sequence + 1]; ++row)
        rows.row(row - keptRows_.begin()) = x.row(static_cast<Eigen::Index>(*row - firstRow_[sequence]));
}

void Observer::inWaves(const std::function<void(size_t)>& work, const std::function<void(size_t)>& merge) const {
    const size_t wave = static_cast<size_t>(threads_), sequences = end_ - begin_;
    for (size_t first = 0; first < sequences; first += wave) {
        const size_t count = std::min(wave, sequences - first);
        parallelFor(count, threads_, [&](size_t i) {
            check_();
            work(first + i);
        });
        for (size_t i = 0; i < count; ++i) merge(first + i);
        advance_(count);
    }
}

std::vector<SiteInputs> Observer::gather(std::span<const SiteKind> kinds, size_t sequences,
                                         const std::function<void(size_t, const SeeSite&)>& lead) const {
    const auto emptyMoments = [&](SiteKind kind) {
        const auto width = static_cast<Eigen::Index>(format::siteWidth(config_, kind));
        return SecondMoments(width, momentBlock(options_, width));
    };
    std::vector<SiteInputs> sites;
    for (SiteKind kind : kinds) {
        SecondMoments moments = emptyMoments(kind);
        const Eigen::Index width = moments.width();
        sites.push_back({std::move(moments), Matrix::Zero(static_cast<Eigen::Index>(keptRows_.size()), width)});
    }
    std::vector<std::vector<SecondMoments>> sums(sequences);
    const auto work = [&](size_t s) {
        for (SiteKind kind : kinds) sums[s].push_back(emptyMoments(kind));
        lead(s, [&](size_t site, const Matrix& x) {
            // First tokens often carry a few huge activations that no other token has; as one direction in the sums
            // they would steer a transform that serves every token.
            sums[s][site].add(x.bottomRows(x.rows() - 1));
            keepRows(sites[site].rows, x, begin_ + s);
        });
    };
    inWaves(work, [&](size_t s) {
        for (size_t site = 0; site < sites.size(); ++site) sites[site].moments.add(sums[s][site]);
        sums[s].clear();
    });
    if (options_.team == nullptr) return sites;
    const uint64_t tokens = firstRow_.back() - (firstRow_.size() - 1);  // in the sums of all processes: no first tokens
    for (SiteInputs& site : sites) {
        std::vector<double> values = site.moments.packed();
        sumOverTeam(values);
        site.moments = SecondMoments::fromPacked(site.moments.width(), site.moments.block(), tokens, values);
        options_.team->sum(std::span<float>(site.rows.data(), static_cast<size_t>(site.rows.size())));
    }
    return sites;
}

std::vector<SiteInputs> Observer::throughLayer(const Layer& layer, Stream& stream) const {
    return gather(format::kSites, stream.size(), [&](size_t s, const SeeSite& see) {
        stream.run(layer, s, [&](SiteKind kind, const Matrix& x) { see(static_cast<size_t>(kind), x); });
    });
}

SiteInputs Observer::atHead(const Stream& stream) const {
    const auto lead = [&](size_t s, const SeeSite& see) { see(0, stream.headInput(s)); };
    return std::move(gather(format::kHeadSites, stream.size(), lead)[0]);
}

InputMoments Observer::atSite(SiteKind kind, const StreamPair& streams,
                              const std::optional<format::Transform>& transform) const {
    const auto width = static_cast<Eigen::Index>(format::siteWidth(config_, kind));
    InputMoments moments;
    moments.hessian = MatrixD::Zero(width, width);
    moments.drift = MatrixD::Zero(width, width);
    struct Rows {
        Matrix seen, drift;
    };
    std::vector<Rows> rows(streams.quantised.size());
    const auto work = [&](size_t s) {
        const Matrix seen = streams.quantised.input(streams.quantisedLayer, kind, s);
        const Matrix wanted = streams.floats.input(streams.floatLayer, kind, s);
        const Eigen::Index kept = seen.rows() - 1;  // all but the first token, as in throughLayer()
        rows[s].seen = transformedRows(transform, seen.bottomRows(kept));
        rows[s].drift = transformedRows(transform, wanted.bottomRows(kept)) - rows[s].seen;
    };
    inWaves(work, [&](size_t s) {
        addGram(moments.hessian, rows[s].seen, threads_);
        addProduct(moments.drift, rows[s].drift, rows[s].seen, threads_);
        rows[s] = {};
    });
    mirrorLower(moments.hessian);
    for (MatrixD* sum : {&moments.hessian, &moments.drift})
        sumOverTeam(std::span<double>(sum->data(), static_cast<size_t>(sum->size())));
    return moments;
}

}  // namespace vulcat::calibrate

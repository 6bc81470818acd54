#pragma once
// What calibration learns from the samples on their way through a layer.

#include "calibrate/site_rounding.h"
#include "calibrate/statistics.h"
#include "calibrate/stream.h"

#include <functional>

namespace vulcat::calibrate {

/// What passed one site of a layer of the float model.
struct SiteInputs {
    SecondMoments moments;
    Matrix rows;  ///< the kept rows, [R, K]
};

/// The two streams at a site: as the float model sees the samples, and as the model quantised so far does.
struct StreamPair {
    Stream& floats;
    const Layer& floatLayer;
    Stream& quantised;
    const Layer& quantisedLayer;  ///< the sites before this one in their final form
};

class Observer {
  public:
    /// `check` may throw to end the work; `advance` is told of finished sequences. With a team (see options) this
    /// process leads only its own part of the sequences through the model, and sums are those of all processes.
    Observer(const CalibrateOptions& options, const format::ModelConfig& config, std::span<const Sequence> sequences,
             int threads, std::function<void()> check, std::function<void(size_t)> advance);

    uint64_t tokens() const { return firstRow_.back(); }
    /// The part of the sequences that streams of this process hold.
    std::span<const Sequence> own(std::span<const Sequence> all) const { return all.subspan(begin_, end_ - begin_); }
    /// Leads the stream through the layer and gathers what passes its sites, indexed by SiteKind. Sums are merged in
    /// the order of the sequences, so that they do not depend on the number of threads.
    std::vector<SiteInputs> throughLayer(const Layer& layer, Stream& stream) const;
    /// What would pass the head now, without a step on.
    SiteInputs atHead(const Stream& stream) const;
    /// Leads both streams to a site and sums up its inputs behind `transform`.
    InputMoments atSite(SiteKind kind, const StreamPair& streams,
                        const std::optional<format::Transform>& transform) const;

  private:
    using SeeSite = std::function<void(size_t site, const Matrix& x)>;
    /// Gathers what `lead`, called with each sequence, shows of sites of these kinds.
    std::vector<SiteInputs> gather(std::span<const SiteKind> kinds, size_t sequences,
                                   const std::function<void(size_t s, const SeeSite& see)>& lead) const;
    void keepRows(Matrix& rows, const Matrix& x, size_t sequence) const;
    void sumOverTeam(std::span<double> values) const;
    /// Calls work(sequence) over threads, a wave at a time, and then merge(sequence) in order.
    void inWaves(const std::function<void(size_t)>& work, const std::function<void(size_t)>& merge) const;

    const CalibrateOptions& options_;
    const format::ModelConfig& config_;
    int threads_;
    std::function<void()> check_;
    std::function<void(size_t)> advance_;
    std::vector<uint64_t> firstRow_;  ///< of each sequence among all tokens, and their number at the end
    std::vector<uint64_t> keptRows_;
    size_t begin_ = 0, end_ = 0;  ///< own sequences among all
};

}  // namespace vulcat::calibrate

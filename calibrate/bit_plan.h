#pragma once
// Which sites get 8 bits where 4 are too few, decided before any site is rounded.

#include "calibrate/decoder.h"
#include "calibrate/options.h"
#include "calibrate/statistics_source.h"

#include <functional>
#include <vector>

namespace vulcat::calibrate {

struct SiteBits {
    int weightBits = 4;
    double sqnr = 0;  ///< dB that the site kept at 4 bits in the trial
};

/// Inputs of a layer's sites to try them on, [R, K] by SiteKind. Called once for each layer, in order.
using TrialRows = std::function<std::vector<Matrix>(int index, const Layer& layer)>;

/// How much of the samples a trial looks at.
struct TrialSize {
    size_t sequences = 8;
    Eigen::Index rows = 48;  ///< of each sequence at most, evenly spread
};

/// A few of the samples go through the float model.
TrialRows rowsOfTexts(const Decoder& decoder, std::span<const Sequence> sequences, int threads, TrialSize size = {});
/// The rows that a file of statistics keeps.
TrialRows rowsOfStatistics(const StatisticsSource& statistics);

/// For options.targetBits: every site in the order of layers and kinds. Each site is tried with 4 bits behind a
/// Hadamard transform, and those that keep the lowest SQNR get 8 bits until the mean over all weights reaches the
/// target (or would pass it). The same inputs always give the same plan.
std::vector<SiteBits> planBits(const CalibrateOptions& options, const Decoder& decoder, const TrialRows& trialRows,
                               int threads);

}  // namespace vulcat::calibrate

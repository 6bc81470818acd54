#pragma once
// Which sites get 8 bits where 4 are too few, decided before any site is rounded.

#include "calibrate/decoder.h"
#include "calibrate/options.h"

namespace vulcat::calibrate {

struct SiteBits {
    int weightBits = 4;
    double sqnr = 0;  ///< dB that the site kept at 4 bits in the trial
};

/// For options.targetBits: every site in the order of layers and kinds. A few samples go through the float model; each
/// site is tried with 4 bits behind a Hadamard transform, and those that keep the lowest SQNR get 8 bits until the mean
/// over all weights reaches the target (or would pass it). The same inputs always give the same plan.
std::vector<SiteBits> planBits(const CalibrateOptions& options, const Decoder& decoder,
                               std::span<const Sequence> sequences, int threads);

}  // namespace vulcat::calibrate

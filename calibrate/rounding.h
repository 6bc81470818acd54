#pragma once
// Weights to integer codes over threads; the quantiser itself is the numeric contract's (format/quantise.h).

#include "calibrate/matrix.h"

#include "format/quantise.h"

#include <span>

namespace vulcat::calibrate {

/// Rounds W [N, K] to nearest with one scale a row (groupSize 0) or a group of columns. Scales of groups are stored in
/// fp16 where all of them are normal numbers. `energy` [K], the mean squares of the inputs, or empty: a searched scale
/// then minimises the error of the outputs (inputs taken as uncorrelated) rather than that of the weights. Errors:
/// InvalidFile for NaN or infinite weights.
format::QuantisedMatrix roundWeights(const Matrix& weight, int bits, int groupSize, format::ScaleSearch search,
                                     int threads, std::span<const float> energy = {});

}  // namespace vulcat::calibrate

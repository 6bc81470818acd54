#pragma once
// How long a calibration will take, from short measurements of its own pieces on this machine.

#include "calibrate/options.h"
#include "calibrate/texts.h"

#include "format/model_config.h"

#include <span>

namespace vulcat::calibrate {

/// Seconds of wall time for all layers, and the output layer if it is quantised, on `threads` threads. Measures for a
/// second or two beforehand: products of the sizes in the model, the quantiser's scale search, and the rounding that was
/// asked for on small random sites, whose cost is split into parts that grow with K^3, N K^2 and N K.
double workSeconds(const CalibrateOptions& options, const format::ModelConfig& config,
                   std::span<const Sequence> sequences, int threads);

}  // namespace vulcat::calibrate

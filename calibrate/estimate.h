#pragma once
// What a calibration will need, told before any work.

#include "calibrate/options.h"

#include <cstdint>

namespace vulcat::calibrate {

struct Estimate {
    uint64_t peakBytes = 0;      ///< resident memory at the worst moment
    uint64_t outputBytes = 0;    ///< size of the finished folder
    uint64_t diskBytes = 0;      ///< free space needed while working (layers and the joined file exist side by side)
    uint64_t freeDiskBytes = 0;  ///< free now where the output goes
    double seconds = 0.0;        ///< on this machine, see calibrate/layer_time.h
    uint64_t tokens = 0;         ///< calibration tokens
    uint64_t sequences = 0;
    int layers = 0;
};

/// Reads config, tokenizer and texts but no weights, and writes nothing. Throws as calibrate() does for bad input.
Estimate estimate(const CalibrateOptions& options);

}  // namespace vulcat::calibrate

#pragma once
// The tuner: measures every tile that a linear could run with, on the device, and keeps those that are the fastest for
// some number of rows. Results are compared with the CPU reference (format/linear_reference.h) before they are timed; a
// tile that computes wrongly is never kept.

#include "kernels/tuning.h"
#include "vk/pipeline_library.h"

#include <functional>
#include <string>
#include <vector>

namespace vulcat::kernels {

struct TunerOptions {
    uint32_t maxRows = 512;                ///< rows that a pass may have
    double secondsEach = 0.1;              ///< of timing a tile; at least ten runs unless they take long
    std::function<bool()> goOn = nullptr;  ///< asked between runs; false ends with Error(Cancelled)
};

struct TunedLinear {
    std::vector<LinearTile> measured;  ///< every tile, its cost in nanoseconds for all outputs
    std::vector<LinearTile> best;      ///< those worth keeping, by height
    std::vector<std::string>
        wrong;  ///< tiles that computed something else, as "module, rows", and what else tells them apart
};

/// Measures a linear of this size on random weights. Large ones are measured by a part of their outputs.
/// Errors: those of IntegerLinear and FloatLinear; OutOfMemory; Cancelled; Failure when no tile computes rightly.
TunedLinear tuneLinear(vk::Device& device, vk::PipelineLibrary& library, const vk::CapabilitySet& allowed,
                       const LinearSize& size, const TunerOptions& options);

/// The tiles that are fastest for some number of rows from 1 to maxRows, by rising height; pure.
std::vector<LinearTile> worthKeeping(const std::vector<LinearTile>& measured, uint32_t maxRows);

}  // namespace vulcat::kernels

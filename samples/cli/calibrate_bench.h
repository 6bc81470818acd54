#pragma once
// vulcat bench --calibrate: what calibration's heavy steps cost, against one matrix product of the same BLAS.

#include "cli/terminal.h"

#include <cstdint>

namespace vulcat::cli {

/// Medians over `repetitions` rounds, each of which runs every step once, so that a busy machine hits all alike;
/// the figures by CPU time hold on a machine that others use, too.
/// `size` is the width of the square matrices; `threads` 0: as many as it may use.
Table calibrateBench(int size, uint32_t repetitions, int threads);

}  // namespace vulcat::cli

#pragma once
// Floor `calibrate`: turns a Hugging Face model folder into a baked 4-bit folder, on the CPU alone. Sees format, text
// and base; brings its own float decoder, which is also the oracle of the runtime.
//
// The order of work, for each layer in turn: the float layer runs on every sample while the inputs of its four sites
// (qkv, o, gate_up, down) are summed up as second moments; each site gets its transform T from those moments and from
// its weights; W T^-1, computed from T as it is stored, is rounded; the layer goes to disk as a whole. So memory holds
// one layer, its statistics and the samples' hidden states, never the model.
//
// Work in progress lives in `<out>.partial/` with a manifest and a fingerprint of the recipe and of all inputs. A run
// that was killed continues after its last finished layer when the same command is given again, and ends with the same
// bytes. Bytes do not depend on the number of threads: every sum has one order. The finished folder appears by one
// rename.

#include "calibrate/options.h"
#include "calibrate/progress.h"
#include "calibrate/report.h"

namespace vulcat::calibrate {

/// Calibrates and writes `options.outDir`. Returns what calibration_report.json holds.
/// Errors: InvalidArgument (options, an output folder that exists), InvalidFile (model or texts, naming file and
/// field), Failure (cannot write, disk full), Cancelled (options.stop was set), Unsupported (already quantised).
Report calibrate(const CalibrateOptions& options, const Progress& progress = {});

}  // namespace vulcat::calibrate

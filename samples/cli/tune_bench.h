#pragma once
// vulcat bench --tune: the tuner (kernels/tuner.h) over a model's linears.

#include "cli/gpu_model.h"

#include <filesystem>
#include <string>

namespace vulcat::cli {

/// Measures, keeps the result for later runs (cache_folder.h) and prints a row a linear and number of tokens at once, as each
/// linear is measured: the tile that is taken untuned, the tuned one, their times and the ratio. `everyTile`: first, as a table
/// of its own, each tile that was measured, and which of them are kept or the built-in choice for some number of tokens.
/// Interrupted, it keeps the linears that are done. A tile is written as its module x rows of x [x weight tiles] [/ teams that
/// share K]. `format`: of LiveTable. Errors: those of loading a model.
void tuneModel(OpenDevice& device, const std::filesystem::path& folder, bool everyTile, const std::string& format);

}  // namespace vulcat::cli

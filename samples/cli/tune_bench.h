#pragma once
// vulcat bench --tune: the tuner (kernels/tuner.h) over a model's linears.

#include "cli/gpu_model.h"
#include "cli/terminal.h"

#include <filesystem>

namespace vulcat::cli {

/// Measures, keeps the result for later runs (cache_folder.h) and returns a row a linear and number of tokens at once:
/// the tile that is taken untuned, the tuned one, their times and the ratio. Ctrl-C keeps nothing.
/// A tile is written as its module x rows of x [x weight tiles] [/ teams that share K]. Errors: those of loading a model.
Table tuneModel(OpenDevice& device, const std::filesystem::path& folder);

}  // namespace vulcat::cli

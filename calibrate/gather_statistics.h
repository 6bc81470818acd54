#pragma once
// A share of the calibration texts on its way through the float model, to a file of statistics.

#include "calibrate/team.h"
#include "calibrate/options.h"
#include "calibrate/progress.h"
#include "calibrate/statistics_file.h"

namespace vulcat::calibrate {

/// What ties a file of statistics to a model, and to texts as they were cut into sequences.
std::string modelFingerprint(const format::TensorStore& store);
std::string textsFingerprint(std::span<const std::vector<int32_t>> sequences, uint64_t seed);

/// Runs the float model of `options.modelDir` on one share of the sequences and writes the second moments of all its
/// sites (whole, whatever the block) to `file`. Of the options the model, texts, seed, threads and `stop` count, and
/// `team`, whose processes then divide the share. Finished layers wait beside the file; a run that died goes on
/// after them when it is repeated, and ends with the same bytes. Errors: as calibrate().
StatisticsHeader gatherStatistics(const CalibrateOptions& options, const Share& share,
                                  const std::filesystem::path& file, const Progress& progress = {});

}  // namespace vulcat::calibrate

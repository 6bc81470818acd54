#pragma once
// What a calibration opens before it works: texts, statistics, the work folder; and the fingerprint of all of it.

#include "calibrate/decoder.h"
#include "calibrate/options.h"
#include "calibrate/statistics_source.h"
#include "calibrate/texts.h"
#include "calibrate/work_folder.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace vulcat::calibrate {

/// The sequences of the texts, none where a file of statistics stands for them. Errors: Unsupported for a calibrated
/// model; InvalidFile for floats that are not finite, and for texts.
std::vector<Sequence> readInputs(const CalibrateOptions& options, const Decoder& decoder);

/// Nothing where texts are read. The decoder must outlive it.
std::optional<StatisticsSource> openStatistics(const CalibrateOptions& options, const Decoder& decoder);

/// Of recipe, model and texts or statistics.
std::string fingerprintOf(const CalibrateOptions& options, const nlohmann::ordered_json& recipe, const Decoder& decoder,
                          const std::vector<Sequence>& sequences, const std::optional<StatisticsSource>& statistics);

/// Tokens of a sequence on average, for progress.
double tokensOfOne(const std::vector<Sequence>& sequences);

/// Of processes that work together the first makes the folder, and the others follow.
WorkFolder openWork(const CalibrateOptions& options, const std::string& fingerprint);

}  // namespace vulcat::calibrate

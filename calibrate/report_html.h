#pragma once
// calibration_report.html: the report for people. One file that needs nothing else: no script, no font, no address.
// Light and dark by the reader's setting, and fit for print.

#include "calibrate/report.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>

namespace vulcat::calibrate {

/// The page. `model` is the name in the heading. `quality` is null, or what recipes cost on judging text as
/// tests/quality_table.sh writes it: {"model", "text", "float_nll", "rows": [{"recipe", "nll", "nll_over_float", "kl",
/// "same_top", "bits_per_weight"}, ...]}. All text is escaped. Throws Error(InvalidFile) naming `where` when `quality`
/// has another form.
std::string htmlReport(const Report& report, const std::string& model, const nlohmann::ordered_json& quality,
                       const std::string& where);

/// Reads calibration_report.json of a calibrated folder and writes calibration_report.html beside it, atomically;
/// `quality` is a file as above, or empty. Errors: InvalidFile naming file and field, Failure when it cannot be
/// written.
void writeHtmlReport(const std::filesystem::path& folder, const std::filesystem::path& quality);

}  // namespace vulcat::calibrate

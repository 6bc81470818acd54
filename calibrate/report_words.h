#pragma once
// What calibration_report.html says in sentences.

#include "calibrate/report.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace vulcat::calibrate {

/// "1 234 567", with narrow spaces.
std::string grouped(uint64_t number);
/// "1.5 GiB".
std::string bytesText(uint64_t bytes);

/// Means over all sites, in dB.
struct Means {
    SiteQuality before, after;
    /// Precondition: the report has sites.
    explicit Means(const Report& report);
};

/// "W4A4, CAT in blocks of 64, ...". What the recipe does not hold is left out.
std::string recipeSentence(const nlohmann::ordered_json& recipe);

/// What the whole calibration gained, and where it did not help. Precondition: the report has sites.
std::vector<std::string> summarySentences(const Report& report);

/// How near the predicted SQNR is to the measured one.
std::vector<std::string> agreementSentences(const Report& report);

/// "172 inputs, 64 outputs, blocks of 64, mix of order 172".
std::string siteFacts(const SiteReport& site);

/// Where a step did not help, and the notes of the calibration.
std::vector<std::string> siteSentences(const SiteReport& site);

}  // namespace vulcat::calibrate

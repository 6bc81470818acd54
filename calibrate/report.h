#pragma once
// The numbers of a calibration: what calibration_report.json holds, site by site.

#include "calibrate/options.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace vulcat::calibrate {

/// One side (before or after the transform) of one site, all in dB. Formulas: the SQNR decomposition of CAT
/// (arXiv 2603.04359, Theorem 2.4): SQNR = 12 (N_x^2 C(x) || N_w^2 C(W)) A, a || b = 1 / (1/a + 1/b).
struct SiteQuality {
    double concentrationX = 0;  ///< C(x) = E||x||^2 / E[r(x)^2], r the range a token's grid spans
    double concentrationW = 0;  ///< C(W) = sum ||w||^2 / sum r(w)^2, r the range a row's (or group's) grid spans
    double alignment = 0;       ///< A = E||Wx||^2 / (||W||_F^2 E||x||^2)
    double predicted = 0;       ///< joint SQNR by the formula, with the steps the grids really have
    double measured = 0;        ///< joint SQNR of the quantised linears on the kept rows
};

struct SiteReport {
    std::string site;                    ///< e.g. "model.layers.0.self_attn.qkv"
    int inputs = 0, outputs = 0;         ///< K, and N of all linears together
    SiteQuality before, after;           ///< `before`: same grids, no transform, rounded to nearest
    std::optional<SiteQuality> aligned;  ///< rounded to nearest behind the alignment blocks, before any mix
    std::optional<SiteQuality> mixed;    ///< to nearest behind the whole transform, where `after` is rounded otherwise
    double attainableBlock = 0;          ///< largest alignment (dB) that any transform of this block size reaches
    std::optional<double> attainable;    ///< largest alignment (dB) of any transform; absent for very wide sites
    int block = 0;
    int mixOrder = 1, mixStride = 1;
    int weightBits = 4, activationBits = 4;   ///< of this site; a recipe may mix them
    std::string rounding = "nearest";         ///< "nearest", "gptq" or "watersic"
    std::string permutation = "none";         ///< of the inputs: "none", "mass" or "cat"
    std::vector<float> massBefore;            ///< of each block over the mean block's, in natural order
    std::vector<float> massAfter;             ///< and in that of the permutation; both empty without one
    std::optional<double> attainableNatural;  ///< as attainableBlock, of the natural order; only with a permutation
    double bitsPerWeight = 0;                 ///< what the weights take on disk, scales included
    std::optional<double> limitBits;  ///< fewest bits a weight that leave the codes' output error (rate_limit.h)
    std::vector<std::string> notes;   ///< dampings and fallbacks that were needed, dead channels, what did not help
};

struct Report {
    nlohmann::ordered_json recipe;  ///< as in config.json's quantization_config, without the sites
    uint64_t tokens = 0, sequences = 0;
    std::string fingerprint;  ///< of recipe and inputs, 16 hex digits
    std::vector<SiteReport> sites;
    uint64_t modelBytes = 0;  ///< of model.safetensors
    bool resumed = false;     ///< not in the file: this run continued an earlier one
};

nlohmann::ordered_json toJson(const SiteReport& site);
nlohmann::ordered_json toJson(const Report& report);
/// Throws Error(InvalidFile) naming `where` when fields are missing or have another type.
SiteReport siteReportFromJson(const nlohmann::ordered_json& json, const std::string& where);
Report reportFromJson(const nlohmann::ordered_json& json, const std::string& where);
/// calibration_report.json of a calibrated folder. Errors: InvalidFile naming file and field.
Report readReport(const std::filesystem::path& folder);

/// What a weight takes on disk on average over all sites, scales included; 16 without a site.
double bitsPerWeight(const Report& report);

}  // namespace vulcat::calibrate

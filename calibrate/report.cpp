#include "calibrate/report.h"

#include "format/mapped_file.h"

#include "base/error.h"

#include <cmath>

namespace vulcat::calibrate {

using json = nlohmann::ordered_json;

namespace {

constexpr size_t kReportLimit = size_t{256} << 20;  // bytes

/// Hundredths of a dB are more than anyone reads, and round numbers compare equal between compilers.
double rounded(double decibel) {
    return std::round(decibel * 1e4) / 1e4;
}

json roundedAll(const std::vector<float>& values) {
    json list = json::array();
    for (const float value : values) list.push_back(rounded(static_cast<double>(value)));
    return list;
}

json toJson(const SiteQuality& q) {
    return {{"concentration_x_db", rounded(q.concentrationX)},
            {"concentration_w_db", rounded(q.concentrationW)},
            {"alignment_db", rounded(q.alignment)},
            {"predicted_sqnr_db", rounded(q.predicted)},
            {"measured_sqnr_db", rounded(q.measured)}};
}

SiteQuality qualityFromJson(const json& json) {
    SiteQuality q;
    q.concentrationX = json.at("concentration_x_db").get<double>();
    q.concentrationW = json.at("concentration_w_db").get<double>();
    q.alignment = json.at("alignment_db").get<double>();
    q.predicted = json.at("predicted_sqnr_db").get<double>();
    q.measured = json.at("measured_sqnr_db").get<double>();
    return q;
}

}  // namespace

json toJson(const SiteReport& site) {
    json result = {{"site", site.site},
                   {"inputs", site.inputs},
                   {"outputs", site.outputs},
                   {"block", site.block},
                   {"mix_order", site.mixOrder},
                   {"mix_stride", site.mixStride},
                   {"before", toJson(site.before)},
                   {"after", toJson(site.after)},
                   {"attainable_alignment_block_db", rounded(site.attainableBlock)},
                   {"weight_bits", site.weightBits},
                   {"activation_bits", site.activationBits},
                   {"rounding", site.rounding},
                   {"permutation", site.permutation},
                   {"bits_per_weight", rounded(site.bitsPerWeight)},
                   {"notes", site.notes}};
    if (site.attainable) result["attainable_alignment_db"] = rounded(*site.attainable);
    if (site.attainableNatural) result["attainable_alignment_natural_order_db"] = rounded(*site.attainableNatural);
    if (site.aligned) result["aligned"] = toJson(*site.aligned);
    if (site.mixed) result["mixed"] = toJson(*site.mixed);
    if (site.limitBits) result["limit_bits_per_weight"] = rounded(*site.limitBits);
    if (!site.massBefore.empty()) {
        result["block_mass_before"] = roundedAll(site.massBefore);
        result["block_mass_after"] = roundedAll(site.massAfter);
    }
    return result;
}

json toJson(const Report& report) {
    json sites = json::array();
    for (const SiteReport& site : report.sites) sites.push_back(toJson(site));
    return {{"recipe", report.recipe},           {"tokens", report.tokens},          {"sequences", report.sequences},
            {"fingerprint", report.fingerprint}, {"model_bytes", report.modelBytes}, {"sites", sites}};
}

SiteReport siteReportFromJson(const json& json, const std::string& where) {
    try {
        SiteReport site;
        site.site = json.at("site").get<std::string>();
        site.inputs = json.at("inputs").get<int>();
        site.outputs = json.at("outputs").get<int>();
        site.block = json.at("block").get<int>();
        site.mixOrder = json.at("mix_order").get<int>();
        site.weightBits = json.value("weight_bits", 4);
        site.activationBits = json.value("activation_bits", 4);
        site.rounding = json.value("rounding", "nearest");
        site.permutation = json.value("permutation", "none");
        site.mixStride = json.value("mix_stride", site.mixOrder > 1 ? site.inputs / site.mixOrder : 1);
        site.bitsPerWeight = json.value("bits_per_weight", 0.0);
        site.before = qualityFromJson(json.at("before"));
        site.after = qualityFromJson(json.at("after"));
        site.attainableBlock = json.at("attainable_alignment_block_db").get<double>();
        if (json.contains("attainable_alignment_db"))
            site.attainable = json.at("attainable_alignment_db").get<double>();
        if (json.contains("attainable_alignment_natural_order_db"))
            site.attainableNatural = json.at("attainable_alignment_natural_order_db").get<double>();
        if (json.contains("aligned")) site.aligned = qualityFromJson(json.at("aligned"));
        if (json.contains("mixed")) site.mixed = qualityFromJson(json.at("mixed"));
        if (json.contains("limit_bits_per_weight")) site.limitBits = json.at("limit_bits_per_weight").get<double>();
        site.massBefore = json.value("block_mass_before", std::vector<float>());
        site.massAfter = json.value("block_mass_after", std::vector<float>());
        site.notes = json.at("notes").get<std::vector<std::string>>();
        return site;
    } catch (const nlohmann::ordered_json::exception& e) {
        throw Error(Result::InvalidFile, where + ": a site's report is damaged (" + e.what() + ")");
    }
}

Report reportFromJson(const json& json, const std::string& where) {
    try {
        Report report;
        report.recipe = json.at("recipe");
        report.tokens = json.at("tokens").get<uint64_t>();
        report.sequences = json.at("sequences").get<uint64_t>();
        report.fingerprint = json.at("fingerprint").get<std::string>();
        report.modelBytes = json.at("model_bytes").get<uint64_t>();
        for (const auto& site : json.at("sites")) report.sites.push_back(siteReportFromJson(site, where));
        return report;
    } catch (const nlohmann::ordered_json::exception& e) {
        throw Error(Result::InvalidFile, where + ": the report is damaged (" + e.what() + ")");
    }
}

Report readReport(const std::filesystem::path& folder) {
    const std::filesystem::path file = folder / "calibration_report.json";
    const json parsed = json::parse(format::readTextFile(file, kReportLimit), nullptr, false);
    if (!parsed.is_object())
        throw Error(Result::InvalidFile, file.string() + ": is not a JSON object; calibrate again");
    return reportFromJson(parsed, file.string());
}

double bitsPerWeight(const Report& report) {
    double bits = 0, weights = 0;
    for (const SiteReport& site : report.sites) {
        const double count = static_cast<double>(site.inputs) * site.outputs;
        bits += count * site.bitsPerWeight;
        weights += count;
    }
    return weights > 0 ? bits / weights : 16;
}

}  // namespace vulcat::calibrate

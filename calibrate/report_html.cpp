#include "calibrate/report_html.h"

#include "calibrate/report_charts.h"
#include "calibrate/report_style.h"
#include "calibrate/report_words.h"

#include "format/atomic_file.h"
#include "format/mapped_file.h"

#include "base/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace vulcat::calibrate {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t kQualityLimit = size_t{16} << 20;  // bytes

std::string htmlParagraph(std::string_view text, std::string_view style = {}) {
    return (style.empty() ? std::string("<p>") : "<p class=\"" + std::string(style) + "\">") + escaped(text) + "</p>\n";
}

std::string bulletList(const std::vector<std::string>& sentences) {
    if (sentences.empty()) return {};
    std::string out = "<ul>";
    for (const std::string& sentence : sentences) out += "<li>" + escaped(sentence) + "</li>";
    return out + "</ul>\n";
}

std::string factBox(std::string_view name, std::string_view value) {
    return "<div><dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "</dd></div>";
}

std::string factBoxes(const Report& report) {
    std::string out = "<dl class=\"facts\">";
    out += factBox("calibration tokens", grouped(report.tokens)) + factBox("sequences", grouped(report.sequences)) +
           factBox("sites", grouped(report.sites.size())) + factBox("tensors on disk", bytesText(report.modelBytes));
    if (!report.sites.empty()) {
        const Means means(report);
        out += factBox("measured SQNR, mean",
                       decibelText(means.before.measured) + " \u2192 " + decibelText(means.after.measured) + " dB");
    }
    return out + factBox("fingerprint", report.fingerprint) + "</dl>\n";
}

/// One row of the quality table; what is absent is a dash.
struct QualityRow {
    std::string recipe;
    std::optional<double> bits, nll, over, kl, sameTop;
};

std::optional<double> tableNumber(const json& row, const char* key) {
    const auto found = row.find(key);
    if (found == row.end() || found->is_null()) return std::nullopt;
    return found->get<double>();
}

std::string numberCell(const std::optional<double>& value, int digits, double factor = 1) {
    return "<td>" + (value ? figure(factor * *value, digits) : std::string("\u2013")) + "</td>";
}

std::string qualityTable(const std::vector<QualityRow>& rows) {
    double largest = 0;
    for (const QualityRow& row : rows) largest = std::max(largest, row.over.value_or(0));
    std::string out =
        "<div class=\"tablebox\"><table><thead><tr><th>recipe</th><th>bits a weight</th><th>NLL</th><th>over "
        "float</th><th></th><th>KL divergence</th><th>same top token</th></tr></thead><tbody>\n";
    for (const QualityRow& row : rows) {
        out += "<tr><td>" + escaped(row.recipe) + "</td>" + numberCell(row.bits, 2) + numberCell(row.nll, 4) +
               numberCell(row.over, 4);
        out += "<td class=\"bar\">" +
               (row.over ? cellBar(*row.over, largest, row.recipe + ": " + figure(*row.over, 4) + " over float") : "") +
               "</td>";
        out += numberCell(row.kl, 4);
        out += row.sameTop ? "<td>" + figure(100 * *row.sameTop) + " %</td></tr>\n" : "<td>\u2013</td></tr>\n";
    }
    return out + "</tbody></table></div>\n";
}

std::string qualitySection(const json& quality, const std::string& where) {
    if (quality.is_null()) return {};
    try {
        std::string out = "<h2>What it costs the model</h2>\n";
        std::vector<QualityRow> rows;
        for (const json& row : quality.at("rows"))
            rows.push_back({row.at("recipe").get<std::string>(), tableNumber(row, "bits_per_weight"),
                            tableNumber(row, "nll"), tableNumber(row, "nll_over_float"), tableNumber(row, "kl"),
                            tableNumber(row, "same_top")});
        const double base = quality.at("float_nll").get<double>();
        out +=
            htmlParagraph("Negative log-likelihood in nats a token on " + quality.at("text").get<std::string>() +
                          "; the float model has " + figure(base, 4) +
                          ". KL is the mean divergence of the next-token distribution from the float model's, in nats. "
                          "Less is better, but for the share of tokens whose most likely successor stays the same.");
        return out + qualityTable(rows);
    } catch (const json::exception& e) {
        throw Error(Result::InvalidFile, where + ": is not a quality table (" + e.what() + ")");
    }
}

std::string htmlLegend() {
    return "<p class=\"soft legend\"><span class=\"key before\"></span>plain: rounded to nearest, no transform"
           "<span class=\"key step\"></span>on the way: aligned by CAT's blocks, then mixed, rounded to nearest"
           "<span class=\"key after\"></span>after<span class=\"key mark\"></span>theory: predicted SQNR, and the best "
           "alignment of any transform with these blocks<span class=\"key any\"></span>the best alignment of any "
           "transform at all</p>\n";
}

std::string overview(const Report& report, const SiteScales& scales) {
    std::string out = "<h2>Signal to quantisation noise</h2>\n";
    out += htmlParagraph(
        "How far a site's outputs stand above the error that rounding leaves in them, in dB, measured on rows kept "
        "from the calibration text; layer by layer, before and after. 6 dB are worth one bit.");
    out += htmlLegend() + measuredPanels(report, scales);
    out += "<h3>Does the theory hold here?</h3>\n<div class=\"pair\"><figure style=\"margin:0\">" +
           agreementPlot(report, scales) + "</figure><div>" + bulletList(agreementSentences(report)) + "</div></div>\n";
    return out;
}

std::string siteCard(const SiteReport& site, const SiteScales& scales) {
    std::string out = "<section class=\"card\"><h4>" + escaped(SiteName(site.site).kind) + "</h4>";
    out += htmlParagraph(siteFacts(site), "soft");
    return out + siteChart(site, scales) + massChart(site) + rateChart(site) + bulletList(siteSentences(site)) +
           "</section>\n";
}

std::string siteSections(const Report& report, const SiteScales& scales) {
    std::string out = "<h2>Site by site</h2>\n" + htmlLegend();
    std::optional<std::string> layer;
    for (const SiteReport& site : report.sites) {
        const SiteName name(site.site);
        if (name.layer != layer) {
            if (layer) out += "</div>\n";
            layer = name.layer;
            out += "<h3>" + escaped(name.layer.empty() ? "Output layer" : "Layer " + name.layer) +
                   "</h3>\n<div class=\"cards\">\n";
        }
        out += siteCard(site, scales);
    }
    return out + "</div>\n";
}

std::string explanations() {
    std::string out = "<h2>How to read this</h2>\n<dl>";
    const auto term = [&](std::string_view name, std::string_view meaning) {
        out += "<dt><b>" + escaped(name) + "</b></dt><dd style=\"font-weight:400;margin:0 0 .6rem\">" +
               escaped(meaning) + "</dd>";
    };
    term("Site",
         "Linear layers that share one input, and so one transform: the projections of queries, keys and "
         "values; the attention's output; gate and up; down; the output layer, where it is quantised.");
    term("Concentration",
         "The energy of values over the square of the range that their grid must span. Outliers lower "
         "it; a rotation that spreads them raises it.");
    term("Alignment",
         "How much of the product of weight energy and input energy arrives in the output: 0 dB when the "
         "strong directions of both are the same. A rotation cannot change it, CAT can.");
    term("Predicted SQNR",
         "12 (n\u00b2 C(x) \u2225 n\u00b2 C(W)) A, with n the steps of each grid, C the concentrations, A "
         "the alignment and a \u2225 b = 1 / (1/a + 1/b); errors are taken as uniform in their cells and "
         "nothing as clipped (arXiv 2603.04359, Theorem 2.4).");
    term("Steps",
         "Plain is the site rounded to nearest with the same grids and no transform; aligned has CAT's blocks before "
         "its inputs; mixed has the Hadamard mix behind them; the last is what is stored. A permutation of channels "
         "changes no bar by itself, as ranges and sums know no order: it changes what blocks can reach, and the mass "
         "that each block holds.");
    term("Rate limit",
         "Reverse waterfilling: no code tells Gaussian weights of the same row variances with the same output error in "
         "fewer bits.");
    return out + "</dl>\n";
}

json readQuality(const std::filesystem::path& file) {
    json parsed = json::parse(format::readTextFile(file, kQualityLimit), nullptr, false);
    if (!parsed.is_object()) throw Error(Result::InvalidFile, file.string() + ": is not a JSON object");
    return parsed;
}

}  // namespace

std::string htmlReport(const Report& report, const std::string& model, const json& quality, const std::string& where) {
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n";
    out += "<title>Calibration of " + escaped(model) + "</title>\n<style>" + kReportStyle + "</style>\n</head>\n";
    out += "<body><main>\n<h1>Calibration of " + escaped(model) + "</h1>\n";
    out += htmlParagraph(recipeSentence(report.recipe), "lead") + factBoxes(report);
    if (report.sites.empty()) {
        out += htmlParagraph("No site was quantised, so there is nothing to compare.") + qualitySection(quality, where);
    } else {
        const SiteScales scales(report);
        out += "<h2>In short</h2>\n" + bulletList(summarySentences(report)) + qualitySection(quality, where);
        out += overview(report, scales) + siteSections(report, scales) + explanations();
    }
    return out + "</main></body>\n</html>\n";
}

void writeHtmlReport(const std::filesystem::path& folder, const std::filesystem::path& quality) {
    const Report report = readReport(folder);
    const json table = quality.empty() ? json() : readQuality(quality);
    const std::filesystem::path plain = folder.has_filename() ? folder : folder.parent_path();
    format::writeTextFile(folder / "calibration_report.html",
                          htmlReport(report, plain.filename().string(), table, quality.string()));
}

}  // namespace vulcat::calibrate

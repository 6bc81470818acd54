// calibration_report.html: complete in itself, well-formed, safe against names from outside, and plain about what did
// not help.

#include "calibrate/report_html.h"

#include "base/error.h"

#include "support/temp_folder.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string>
#include <vector>

using namespace vulcat;
using namespace vulcat::calibrate;

namespace {

bool holds(const std::string& page, const std::string& text) {
    return page.find(text) != std::string::npos;
}

SiteReport siteReport(const std::string& name, double measuredBefore, double measuredAfter) {
    SiteReport site;
    site.site = name;
    site.inputs = 172;
    site.outputs = 64;
    site.block = 64;
    site.mixOrder = 172;
    site.before = {1.25, 6.5, -25.75, 9.5, measuredBefore};
    site.after = {8.25, 9.125, -22.75, 16.5, measuredAfter};
    site.attainableBlock = -22.5;
    site.attainable = -17.5;
    return site;
}

Report someReport() {
    Report report;
    report.recipe = {{"weights", {{"bits", 4}, {"group_size", 0}, {"scales", "mse"}}},
                     {"activations", {{"bits", 4}, {"symmetric", false}}},
                     {"transform", {{"type", "cat"}, {"block", 64}}}};
    report.tokens = 22156;
    report.sequences = 64;
    report.fingerprint = "0123456789abcdef";
    report.modelBytes = 550000;
    report.sites = {siteReport("model.layers.0.mlp.down", 9.5, 16.75),
                    siteReport("model.layers.1.mlp.down", 12.0, 11.0)};
    return report;
}

/// Every tag that opens closes in order; those without content are left out.
bool wellFormed(const std::string& page) {
    std::vector<std::string> open;
    for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
        const size_t end = page.find('>', at);
        if (end == std::string::npos) return false;
        const std::string tag = page.substr(at + 1, end - at - 1);
        const std::string name =
            tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
        if (tag[0] == '!' || name == "meta" || tag.back() == '/') continue;
        if (tag[0] != '/') {
            open.push_back(name);
        } else {
            if (open.empty() || open.back() != name) return false;
            open.pop_back();
        }
        at = end;
    }
    return open.empty();
}

}  // namespace

TEST_CASE("report page: well-formed, complete in itself, with the figures of the report") {
    const std::string page = htmlReport(someReport(), "stories", nullptr, "");
    CHECK(wellFormed(page));
    for (const char* reference : {"http", "src=", "href=", "url(", "@import", "<script", "<link", "<img"})
        CHECK_MESSAGE(!holds(page, reference), reference);
    for (const char* text : {"W4A4, CAT in blocks of 64", "22\u202f156", "0123456789abcdef", "Layer 0", "Layer 1",
                             "mlp.down", "\u221225.8", "8.2", "16.8", "prefers-color-scheme:dark", "@media print"})
        CHECK_MESSAGE(holds(page, text), text);
}

TEST_CASE("report page: says plainly where a step did not help, once") {
    Report report = someReport();
    std::string page = htmlReport(report, "m", nullptr, "");
    CHECK(holds(page, "rose at 1 of 2 sites"));
    CHECK(holds(page, "did not help, and measured SQNR fell, at: model.layers.1.mlp.down."));
    CHECK(holds(page, "Did not help here: measured SQNR fell from 12.0 to 11.0 dB."));
    report.sites[1].notes = {"the transform did not help here: measured SQNR fell"};
    page = htmlReport(report, "m", nullptr, "");
    CHECK(holds(page, "the transform did not help here"));
    CHECK(!holds(page, "Did not help here:"));
    report.sites[0].after.concentrationW = 3;
    CHECK(holds(htmlReport(report, "m", nullptr, ""), "The weights are less concentrated than before, by 3.5 dB."));
    report.sites = {report.sites[0]};
    report.sites[0].after = report.sites[0].before;
    report.sites[0].block = 0;
    report.sites[0].mixOrder = 1;
    CHECK(holds(htmlReport(report, "m", nullptr, ""), "No site has a transform"));
}

TEST_CASE("report page: each step, the masses of blocks and the rate limit; a step that did not help is named") {
    Report report = someReport();
    SiteReport& site = report.sites[0];
    site.rounding = "gptq";
    site.aligned = SiteQuality{2, 7, -23, 10, 8};
    site.mixed = SiteQuality{8, 9, -23, 15, 15.5};
    site.permutation = "cat";
    site.massBefore = {0.5f, 2.25f, 0.25f};
    site.massAfter = {1.0f, 1.25f, 0.75f};
    site.attainableNatural = -23.5;
    site.bitsPerWeight = 2.51;
    site.limitBits = 2.25;
    // Through the file: what the page shows is what the figures on disk say.
    const std::string page = htmlReport(reportFromJson(toJson(report), "test"), "m", nullptr, "");
    CHECK(wellFormed(page));
    for (const char* text :
         {"Step by step, on average: 9.5 dB plain, 8.0 dB aligned, 15.5 dB mixed, 16.8 dB as rounded in the end.",
          "Alignment by itself did not help here: measured SQNR went from 9.5 to 8.0 dB.",
          "the fullest block held 2.25 times the mass of the mean block before, 1.25 times after; the best alignment "
          "of "
          "such blocks went from \u221223.5 to \u221222.5 dB.",
          "2.51 bits a weight on disk, where 2.25 is the limit for this error: 0.26 above it", "Mass of blocks",
          ">aligned<", ">mixed<", ">gptq<"})
        CHECK_MESSAGE(holds(page, text), text);
    CHECK(!holds(page, "The mix did not help"));
    site.mixed->measured = 7;
    CHECK(holds(htmlReport(report, "m", nullptr, ""),
                "The mix did not help here: measured SQNR went from 8.0 to 7.0 dB."));
}

TEST_CASE("report page: names from outside stay text, odd numbers stay drawings") {
    Report report = someReport();
    const std::string evil = "<script>alert('x')</script>&\"\x01";
    report.sites[0].site = evil;
    report.sites[0].notes = {evil};
    report.recipe["transform"] = evil;
    report.fingerprint = evil;
    report.sites[1].before.measured = 300;
    report.sites[1].after.alignment = std::nan("");
    report.sites[1].after.predicted = -300;
    const nlohmann::ordered_json quality = {
        {"text", evil}, {"float_nll", 1.5}, {"rows", {{{"recipe", evil}, {"nll_over_float", 0.25}, {"kl", nullptr}}}}};
    const std::string page = htmlReport(report, evil, quality, "q.json");
    CHECK(wellFormed(page));
    CHECK(!holds(page, "<script"));
    CHECK(!holds(page, "\x01"));
    CHECK(holds(page, "no noise"));
    CHECK(!holds(page, "nan"));
    CHECK(!holds(page, "=\"inf"));
    CHECK(holds(page, "0.2500"));
}

TEST_CASE("report page: nothing quantised, and files that are no report or no table") {
    Report report = someReport();
    report.sites.clear();
    const std::string page = htmlReport(report, "m", nullptr, "");
    CHECK(wellFormed(page));
    CHECK(holds(page, "No site was quantised"));
    CHECK_THROWS_AS(htmlReport(report, "m", nlohmann::ordered_json::array({1}), "q"), Error);
    CHECK_THROWS_AS(htmlReport(report, "m", {{"rows", {{{"recipe", 5}}}}, {"text", "t"}, {"float_nll", 1}}, "q"),
                    Error);

    const test::TempFolder temp;
    CHECK_THROWS_AS(writeHtmlReport(temp.path(), {}), Error);
    test::writeFile(temp / "calibration_report.json", "[]");
    CHECK_THROWS_AS(writeHtmlReport(temp.path(), {}), Error);
    test::writeFile(temp / "calibration_report.json", toJson(someReport()).dump());
    test::writeFile(temp / "quality.json", "{\"rows\": 3}");
    CHECK_THROWS_AS(writeHtmlReport(temp.path(), temp / "quality.json"), Error);
    writeHtmlReport(temp.path(), {});
    const std::string written = test::readFile(temp / "calibration_report.html");
    CHECK(written == htmlReport(someReport(), temp.path().filename().string(), nullptr, ""));
}

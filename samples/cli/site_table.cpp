#include "cli/site_table.h"

#include <utility>

namespace vulcat::cli {
namespace {

using calibrate::SiteQuality;
using calibrate::SiteReport;

constexpr double SiteQuality::*kColumns[] = {&SiteQuality::concentrationX, &SiteQuality::concentrationW,
                                             &SiteQuality::alignment, &SiteQuality::predicted, &SiteQuality::measured};

std::vector<std::string> header() {
    return {"dB, before > after", "concentration x", "concentration W", "alignment", "predicted SQNR", "measured SQNR"};
}

std::vector<std::string> row(std::string name, const SiteQuality& before, const SiteQuality& after) {
    std::vector<std::string> cells{std::move(name)};
    for (auto column : kColumns) cells.push_back(fixed(before.*column, 1) + " > " + fixed(after.*column, 1));
    return cells;
}

/// "model.layers.12.self_attn.qkv" -> "self_attn.qkv"
std::string kindOf(const std::string& site) {
    constexpr std::string_view kPrefix = "model.layers.";
    const size_t dot = site.find('.', kPrefix.size());
    return site.starts_with(kPrefix) && dot != std::string::npos ? site.substr(dot + 1) : site;
}

}  // namespace

Table siteTable(const calibrate::Report& report) {
    struct Mean {
        std::string kind;
        SiteQuality before, after;
        double count = 0;
    };
    std::vector<Mean> means;  // in the order in which the kinds come
    for (const SiteReport& site : report.sites) {
        const std::string kind = kindOf(site.site);
        Mean* mean = nullptr;
        for (Mean& m : means)
            if (m.kind == kind) mean = &m;
        if (mean == nullptr) mean = &means.emplace_back(Mean{kind, {}, {}, 0});
        for (auto column : kColumns) {
            mean->before.*column += site.before.*column;
            mean->after.*column += site.after.*column;
        }
        mean->count += 1;
    }
    Table table(header());
    for (Mean& mean : means) {
        for (auto column : kColumns) {
            mean.before.*column /= mean.count;
            mean.after.*column /= mean.count;
        }
        table.add(row(mean.kind, mean.before, mean.after));
    }
    return table;
}

Table everySiteTable(const calibrate::Report& report) {
    Table table(header());
    for (const SiteReport& site : report.sites) table.add(row(site.site, site.before, site.after));
    return table;
}

}  // namespace vulcat::cli

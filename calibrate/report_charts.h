#pragma once
// The drawings of calibration_report.html, as SVG.

#include "calibrate/markup.h"
#include "calibrate/report.h"

#include <string>
#include <string_view>
#include <vector>

namespace vulcat::calibrate {

/// Axes that all sites of a report share, so that bars compare across the page.
struct SiteScales {
    Scale concentrationX, concentrationW, alignment, ratio;
    explicit SiteScales(const Report& report);
};

/// "model.layers.12.mlp.down" -> layer "12", kind "mlp.down"; another name has no layer and is its own kind.
struct SiteName {
    std::string layer, kind;
    explicit SiteName(std::string_view site);
};

/// Bars of one site: concentrations and alignment after each step, and SQNR predicted and measured.
std::string siteChart(const SiteReport& site, const SiteScales& scales);

/// The l1 mass of each block before and after the permutation; nothing without one.
std::string massChart(const SiteReport& site);

/// Bits a weight beside the limit of information theory; nothing where that is not known.
std::string rateChart(const SiteReport& site);

/// Measured SQNR of every layer, before and after: one panel a kind of site.
std::string measuredPanels(const Report& report, const SiteScales& scales);

/// Predicted against measured SQNR of all sites.
std::string agreementPlot(const Report& report, const SiteScales& scales);

/// One bar whose length is value / largest, for a table cell.
std::string cellBar(double value, double largest, std::string_view description);

}  // namespace vulcat::calibrate

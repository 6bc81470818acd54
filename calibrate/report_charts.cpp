#include "calibrate/report_charts.h"

#include <algorithm>
#include <cmath>

namespace vulcat::calibrate {

namespace {

constexpr double kCardWidth = 272;
constexpr double kBarLeft = 52, kBarRight = 224;  // of a card; labels left of it, figures right of it
constexpr double kCardRow = 15, kCardBar = 10;

/// The states of a site from plain to final, with their names on bars.
struct Step {
    const char* name;
    const SiteQuality& quality;
    const char* style;
};

std::vector<Step> stepsOf(const SiteReport& site) {
    std::vector<Step> steps{{"plain", site.before, "before"}};
    if (site.aligned) steps.push_back({"aligned", *site.aligned, "step"});
    if (site.mixed) steps.push_back({"mixed", *site.mixed, "step"});
    steps.push_back({site.mixed ? site.rounding.c_str() : "after", site.after, "after"});
    return steps;
}

std::vector<double> qualityValues(const Report& report, double SiteQuality::*member) {
    std::vector<double> values;
    for (const SiteReport& site : report.sites)
        for (const Step& step : stepsOf(site)) values.push_back(step.quality.*member);
    return values;
}

std::vector<double> alignmentValues(const Report& report) {
    std::vector<double> values = qualityValues(report, &SiteQuality::alignment);
    for (const SiteReport& site : report.sites) {
        values.push_back(site.attainableBlock);
        if (site.attainable) values.push_back(*site.attainable);
    }
    return values;
}

std::vector<double> ratioValues(const Report& report) {
    std::vector<double> values = qualityValues(report, &SiteQuality::measured);
    const std::vector<double> predicted = qualityValues(report, &SiteQuality::predicted);
    values.insert(values.end(), predicted.begin(), predicted.end());
    return values;
}

std::string rangeText(const Scale& scale) {
    return "axis " + figure(scale.lowest(), 0) + " to " + figure(scale.highest(), 0) + " dB";
}

/// A card's groups of bars, from the top down.
class Card {
  public:
    Card(Drawing& drawing, double top) : drawing_(drawing), y_(top) {}

    void title(std::string_view text, const Scale& scale) {
        drawing_.text(0, y_ + 10, text, "name");
        drawing_.text(kCardWidth, y_ + 10, rangeText(scale), "soft", "end");
        y_ += 16;
        groupTop_ = y_;
    }
    void bar(std::string_view label, double value, const Scale& scale, std::string_view style) {
        drawing_.text(kBarLeft - 6, y_ + 9, label, "soft", "end");
        drawing_.rectangle(kBarLeft, y_, kBarRight - kBarLeft, kCardBar, "rail");
        drawing_.rectangle(kBarLeft, y_, scale(value) - kBarLeft, kCardBar, style);
        drawing_.text(kCardWidth, y_ + 9, decibelText(value), "figure", "end");
        y_ += kCardRow;
    }
    /// A stroke across the group's bars so far.
    void stroke(double value, const Scale& scale, std::string_view style) {
        drawing_.line(scale(value), groupTop_ - 2, scale(value), y_ - kCardRow + kCardBar + 2, style);
    }
    /// A stroke across the last bar.
    void mark(double value, const Scale& scale) {
        drawing_.line(scale(value), y_ - kCardRow - 1.5, scale(value), y_ - kCardRow + kCardBar + 1.5, "mark");
    }
    void gap() { y_ += 7; }

  private:
    Drawing& drawing_;
    double y_;
    double groupTop_ = 0;
};

/// "0", "1", ... and nothing between when there are many.
bool layerLabelled(size_t index, size_t count) {
    const size_t every = count <= 24 ? 1 : (count <= 60 ? 4 : 8);
    return index % every == 0 || index + 1 == count;
}

std::string kindPanel(const std::string& kind, const std::vector<const SiteReport*>& sites, const Scale& whole) {
    constexpr double kWidth = 240, kLeft = 26;
    const double row = sites.size() > 40 ? 8 : 14;
    const double bottom = 22 + row * static_cast<double>(sites.size());
    Drawing drawing(kWidth, bottom + 20, "Measured SQNR by layer, " + kind);
    const auto at = [&](double value) {
        return kLeft + 6 + (whole(value) - kBarLeft) / (kBarRight - kBarLeft) * (kWidth - kLeft - 14);
    };
    drawing.text(0, 11, kind, "name");
    for (double tick = whole.lowest(); tick <= whole.highest() + 0.1; tick += 5) {
        drawing.line(at(tick), 18, at(tick), bottom, "grid");
        drawing.text(at(tick), bottom + 13, figure(tick, 0), "soft", "middle");
    }
    for (size_t i = 0; i < sites.size(); ++i) {
        const SiteReport& site = *sites[i];
        const double y = 22 + row * (static_cast<double>(i) + 0.5);
        const std::string layer = SiteName(site.site).layer;
        if (layerLabelled(i, sites.size())) drawing.text(kLeft - 6, y + 4, layer, "soft", "end");
        const bool worse = site.after.measured < site.before.measured;
        drawing.line(at(site.before.measured), y, at(site.after.measured), y, worse ? "link worse" : "link");
        const std::string where = layer.empty() ? kind : "layer " + layer;
        drawing.dot(at(site.before.measured), y, 3.5, "before",
                    where + ", before: " + decibelText(site.before.measured) + " dB");
        drawing.dot(at(site.after.measured), y, 4, "after",
                    where + ", after: " + decibelText(site.after.measured) + " dB");
    }
    return drawing.finish();
}

}  // namespace

SiteScales::SiteScales(const Report& report)
    : concentrationX(qualityValues(report, &SiteQuality::concentrationX), 5, kBarLeft, kBarRight),
      concentrationW(qualityValues(report, &SiteQuality::concentrationW), 5, kBarLeft, kBarRight),
      alignment(alignmentValues(report), 5, kBarLeft, kBarRight),
      ratio(ratioValues(report), 5, kBarLeft, kBarRight) {}

SiteName::SiteName(std::string_view site) : kind(site) {
    constexpr std::string_view kPrefix = "model.layers.";
    const size_t dot = site.find('.', kPrefix.size());
    if (!site.starts_with(kPrefix) || dot == std::string_view::npos) return;
    layer = site.substr(kPrefix.size(), dot - kPrefix.size());
    kind = site.substr(dot + 1);
}

std::string siteChart(const SiteReport& site, const SiteScales& scales) {
    const std::vector<Step> steps = stepsOf(site);
    // The whole transform leaves concentration and alignment as they are for either way of rounding.
    const size_t few = steps.size() - (site.mixed ? 1 : 0);
    const double height = 4 * (16 + 7) + kCardRow * static_cast<double>(3 * few + steps.size());
    Drawing drawing(kCardWidth, height, "Bars of " + site.site + " in dB");
    Card card(drawing, 0);
    const auto bars = [&](std::string_view title, double SiteQuality::*member, const Scale& scale) {
        card.title(title, scale);
        for (const Step& step : steps)
            if (!site.mixed || &step.quality != &*site.mixed)
                card.bar(&step.quality == &site.after ? "after" : step.name, step.quality.*member, scale, step.style);
    };
    bars("Concentration of inputs", &SiteQuality::concentrationX, scales.concentrationX);
    card.gap();
    bars("Concentration of weights", &SiteQuality::concentrationW, scales.concentrationW);
    card.gap();
    bars("Alignment", &SiteQuality::alignment, scales.alignment);
    card.stroke(site.attainableBlock, scales.alignment, "mark");
    if (site.attainable) card.stroke(*site.attainable, scales.alignment, "mark any");
    card.gap();
    card.title("SQNR, measured", scales.ratio);
    for (const Step& step : steps) {
        card.bar(step.name, step.quality.measured, scales.ratio, step.style);
        card.mark(step.quality.predicted, scales.ratio);
    }
    return drawing.finish();
}

std::string massChart(const SiteReport& site) {
    if (site.massBefore.empty() || site.massBefore.size() != site.massAfter.size()) return {};
    constexpr double kHeight = 92, kTop = 18, kFloor = 78;
    Drawing drawing(kCardWidth, kHeight, "Mass of each block of " + site.site + " before and after the permutation");
    drawing.text(0, 10, "Mass of blocks", "name");
    const double fullest =
        static_cast<double>(std::max(*std::max_element(site.massBefore.begin(), site.massBefore.end()),
                                     *std::max_element(site.massAfter.begin(), site.massAfter.end())));
    drawing.text(kCardWidth, 10, "mean block 1, axis to " + figure(fullest, 1), "soft", "end");
    const double slot = kCardWidth / static_cast<double>(site.massBefore.size());
    const auto top = [&](float mass) { return kFloor - (kFloor - kTop) * static_cast<double>(mass) / fullest; };
    for (size_t b = 0; b < site.massBefore.size(); ++b) {
        const double x = slot * static_cast<double>(b), before = top(site.massBefore[b]),
                     after = top(site.massAfter[b]);
        drawing.rectangle(x + 0.05 * slot, before, 0.42 * slot, kFloor - before, "before");
        drawing.rectangle(x + 0.5 * slot, after, 0.42 * slot, kFloor - after, "after");
    }
    drawing.line(0, top(1), kCardWidth, top(1), "mark any");
    drawing.text(0, kHeight - 2, "blocks in order, before and after", "soft");
    return drawing.finish();
}

std::string rateChart(const SiteReport& site) {
    if (!site.limitBits) return {};
    Drawing drawing(kCardWidth, 16 + kCardRow, "Rate of " + site.site + " and its limit");
    const Scale scale({0, site.bitsPerWeight}, 1, kBarLeft, kBarRight);
    drawing.text(0, 10, "Bits a weight", "name");
    drawing.text(kCardWidth, 10, "limit " + figure(*site.limitBits, 2), "soft", "end");
    drawing.text(kBarLeft - 6, 25, "on disk", "soft", "end");
    drawing.rectangle(kBarLeft, 16, kBarRight - kBarLeft, kCardBar, "rail");
    drawing.rectangle(kBarLeft, 16, scale(site.bitsPerWeight) - kBarLeft, kCardBar, "after");
    drawing.line(scale(*site.limitBits), 14, scale(*site.limitBits), 28, "mark");
    drawing.text(kCardWidth, 25, figure(site.bitsPerWeight, 2), "figure", "end");
    return drawing.finish();
}

std::string measuredPanels(const Report& report, const SiteScales& scales) {
    std::vector<std::string> kinds;  // in the order in which they come
    for (const SiteReport& site : report.sites) {
        const std::string kind = SiteName(site.site).kind;
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    }
    std::string out = "<div class=\"panels\">";
    for (const std::string& kind : kinds) {
        std::vector<const SiteReport*> sites;
        for (const SiteReport& site : report.sites)
            if (SiteName(site.site).kind == kind) sites.push_back(&site);
        out += kindPanel(kind, sites, scales.ratio);
    }
    return out + "</div>";
}

std::string agreementPlot(const Report& report, const SiteScales& scales) {
    constexpr double kSize = 300, kLeft = 44, kTop = 8, kSide = kSize - kLeft - 12;
    Drawing drawing(kSize, kTop + kSide + 40, "Predicted against measured SQNR");
    const auto across = [&](double value) {
        return kLeft + (scales.ratio(value) - kBarLeft) / (kBarRight - kBarLeft) * kSide;
    };
    const auto up = [&](double value) { return kTop + kSide - (across(value) - kLeft); };
    for (double tick = scales.ratio.lowest(); tick <= scales.ratio.highest() + 0.1; tick += 5) {
        drawing.line(across(tick), kTop, across(tick), kTop + kSide, "grid");
        drawing.line(kLeft, up(tick), kLeft + kSide, up(tick), "grid");
        drawing.text(across(tick), kTop + kSide + 14, figure(tick, 0), "soft", "middle");
        drawing.text(kLeft - 6, up(tick) + 4, figure(tick, 0), "soft", "end");
    }
    const double lo = scales.ratio.lowest(), hi = scales.ratio.highest();
    drawing.line(across(lo), up(lo), across(hi), up(hi), "mark any");
    drawing.text(kLeft + kSide / 2, kTop + kSide + 31, "predicted, dB", "soft", "middle");
    drawing.text(4, kTop + 4, "dB", "soft");
    for (const bool after : {false, true})
        for (const SiteReport& site : report.sites) {
            const SiteQuality& q = after ? site.after : site.before;
            drawing.dot(across(q.predicted), up(q.measured), 3.5, after ? "after" : "before",
                        site.site + ": predicted " + decibelText(q.predicted) + ", measured " +
                            decibelText(q.measured) + " dB");
        }
    return drawing.finish();
}

std::string cellBar(double value, double largest, std::string_view description) {
    constexpr double kWidth = 160, kHeight = 12;
    Drawing drawing(kWidth, kHeight, description);
    const double share = largest > 0 && std::isfinite(value) ? std::clamp(value / largest, 0.0, 1.0) : 0.0;
    drawing.rectangle(0, 1, kWidth, kHeight - 2, "rail");
    drawing.rectangle(0, 1, share * kWidth, kHeight - 2, "after");
    return drawing.finish();
}

}  // namespace vulcat::calibrate

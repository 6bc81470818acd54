#include "calibrate/markup.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace vulcat::calibrate {

namespace {

constexpr double kLoudest = 299.0;  // ratios from here on stand for "no noise" (see sqnr.h)

std::string printedNumber(const char* format, double value, int digits) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, format, digits, value);
    std::string text = buffer;
    if (text[0] == '-') text.replace(0, 1, "\u2212");
    return text;
}

/// A coordinate: a tenth of a pixel is enough.
std::string svgCoordinate(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.1f", std::isfinite(value) ? value : 0.0);
    return buffer;
}

std::string svgAttribute(std::string_view name, std::string_view value) {
    std::string out = " ";
    out.append(name).append("=\"").append(value).append("\"");
    return out;
}

}  // namespace

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else if (c == '\'')
            out += "&#39;";
        else if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t')
            out += c;
    }
    return out;
}

std::string figure(double value, int digits) {
    return std::isfinite(value) ? printedNumber("%.*f", value, digits) : "\u2013";
}

std::string gain(double value, int digits) {
    return std::isfinite(value) ? printedNumber("%+.*f", value, digits) : "\u2013";
}

std::string decibelText(double value) {
    return value >= kLoudest ? "no noise" : figure(value);
}

Drawing::Drawing(double width, double height, std::string_view description) {
    out_ = "<svg viewBox=\"0 0 " + svgCoordinate(width) + " " + svgCoordinate(height) +
           "\" style=\"max-width:" + svgCoordinate(width) + "px\" role=\"img\" aria-label=\"" + escaped(description) +
           "\">";
}

void Drawing::rectangle(double x, double y, double width, double height, std::string_view style) {
    out_ += "<rect" + svgAttribute("class", style) + svgAttribute("x", svgCoordinate(x)) +
            svgAttribute("y", svgCoordinate(y)) + svgAttribute("width", svgCoordinate(std::max(width, 0.0))) +
            svgAttribute("height", svgCoordinate(height)) + "/>";
}

void Drawing::line(double x1, double y1, double x2, double y2, std::string_view style) {
    out_ += "<line" + svgAttribute("class", style) + svgAttribute("x1", svgCoordinate(x1)) +
            svgAttribute("y1", svgCoordinate(y1)) + svgAttribute("x2", svgCoordinate(x2)) +
            svgAttribute("y2", svgCoordinate(y2)) + "/>";
}

void Drawing::dot(double x, double y, double radius, std::string_view style, std::string_view tip) {
    out_ += "<circle" + svgAttribute("class", style) + svgAttribute("cx", svgCoordinate(x)) +
            svgAttribute("cy", svgCoordinate(y)) + svgAttribute("r", svgCoordinate(radius)) + "><title>" +
            escaped(tip) + "</title></circle>";
}

void Drawing::text(double x, double y, std::string_view text, std::string_view style, std::string_view anchor) {
    out_ += "<text" + svgAttribute("class", style) + svgAttribute("x", svgCoordinate(x)) +
            svgAttribute("y", svgCoordinate(y));
    if (anchor != "start") out_ += svgAttribute("text-anchor", anchor);
    out_ += ">" + escaped(text) + "</text>";
}

std::string Drawing::finish() {
    return std::move(out_) + "</svg>";
}

Scale::Scale(const std::vector<double>& values, double step, double from, double to) : from_(from), to_(to) {
    double lowest = 0, highest = 0;
    bool any = false;
    for (double value : values) {
        if (!(std::fabs(value) < kLoudest)) continue;
        lowest = any ? std::min(lowest, value) : value;
        highest = any ? std::max(highest, value) : value;
        any = true;
    }
    if (!any) return;
    lowest_ = std::floor((lowest - 0.1 * step) / step) * step;
    highest_ = std::ceil((highest + 0.1 * step) / step) * step;
}

double Scale::operator()(double value) const {
    const double share = (std::clamp(value, lowest_, highest_) - lowest_) / (highest_ - lowest_);
    return from_ + share * (to_ - from_);
}

}  // namespace vulcat::calibrate

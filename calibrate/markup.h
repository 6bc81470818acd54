#pragma once
// Writing HTML and SVG: escaped text, numbers in one form, and the few shapes that charts need.

#include <string>
#include <string_view>
#include <vector>

namespace vulcat::calibrate {

/// For text and for attribute values: the five special characters are replaced, control characters left out.
std::string escaped(std::string_view text);

/// "-12.3"; a real minus sign is used, so that columns of figures line up. NaN and infinity become a dash.
std::string figure(double value, int digits = 1);

/// With its sign: "+1.2".
std::string gain(double value, int digits = 1);

/// "no noise" where a ratio stands for that, else the figure.
std::string decibelText(double value);

/// An SVG drawing of fixed height whose width follows the page up to `width`. Coordinates are CSS pixels at full width.
/// Colours and fonts come from the page's style by class name.
class Drawing {
  public:
    Drawing(double width, double height, std::string_view description);
    void rectangle(double x, double y, double width, double height, std::string_view style);
    void line(double x1, double y1, double x2, double y2, std::string_view style);
    void dot(double x, double y, double radius, std::string_view style, std::string_view tip);
    /// `anchor`: "start", "middle" or "end".
    void text(double x, double y, std::string_view text, std::string_view style, std::string_view anchor = "start");
    std::string finish();

  private:
    std::string out_;
};

/// Maps a range of values, widened to round numbers, to pixels.
class Scale {
  public:
    /// Precondition: from < to (pixels). An empty list gives the range 0..1.
    Scale(const std::vector<double>& values, double step, double from, double to);
    double operator()(double value) const;
    double lowest() const { return lowest_; }
    double highest() const { return highest_; }

  private:
    double lowest_ = 0, highest_ = 1, from_, to_;
};

}  // namespace vulcat::calibrate

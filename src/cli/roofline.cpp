#include "cli/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fathom::cli {
namespace {

constexpr double kLeft = 80;
constexpr double kRight = 860;
constexpr double kTop = 70;
constexpr double kBottom = 500;
constexpr double kWidth = 900;
constexpr double kHeight = 560;
constexpr std::string_view kPrefillColour = "#b3391f";
constexpr std::string_view kDecodeColour = "#1f5fb3";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// A power of ten as people write it: 0.1, 1, 10, 1000.
std::string power_text(int exponent) {
  return exponent < 0 ? fmt::format("{:.{}f}", std::pow(10.0, exponent), -exponent)
                      : fmt::format("{:.0f}", std::pow(10.0, exponent));
}

class Drawing {
 public:
  Drawing(const MachineLimits& limits, const std::vector<RooflinePoint>& points)
      : read_(limits.read_bytes_per_second / 1e9), peak_(limits.int8_ops_per_second / 1e9) {
    const double ridge = peak_ / read_;
    double least_x = ridge / 10;
    double most_x = ridge * 10;
    double least_y = peak_ / 10;
    for (const RooflinePoint& point : points) {
      least_x = std::min(least_x, point.ops_per_byte);
      most_x = std::max(most_x, point.ops_per_byte);
      least_y = std::min(least_y, point.ops_per_second / 1e9);
    }
    x_from_ = std::floor(std::log10(least_x));
    x_to_ = std::ceil(std::log10(most_x));
    y_from_ = std::floor(std::log10(least_y));
    y_to_ = std::ceil(std::log10(peak_ * 1.5));
  }

  void grid() {
    for (int e = static_cast<int>(x_from_); e <= static_cast<int>(x_to_); ++e) {
      const double at = x(std::pow(10.0, e));
      line(at, kTop, at, kBottom, "#ddd", "");
      text(at, kBottom + 20, "middle", "#444", power_text(e));
    }
    for (int e = static_cast<int>(y_from_); e <= static_cast<int>(y_to_); ++e) {
      const double at = y(std::pow(10.0, e));
      line(kLeft, at, kRight, at, "#ddd", "");
      text(kLeft - 10, at + 4, "end", "#444", power_text(e));
    }
    text((kLeft + kRight) / 2, kBottom + 45, "middle", "#222",
         "operations for each byte from memory");
    svg_ += fmt::format(
        "<text x=\"24\" y=\"{0:.1f}\" text-anchor=\"middle\" fill=\"#222\" "
        "transform=\"rotate(-90 24 {0:.1f})\">GOPS (billions of operations a second)</text>\n",
        (kTop + kBottom) / 2);
  }

  void roof(double float_peak) {
    const double ridge = peak_ / read_;
    const double start = std::max(std::pow(10.0, x_from_), std::pow(10.0, y_from_) / read_);
    const double end = std::pow(10.0, x_to_);
    svg_ += fmt::format(
        "<polyline points=\"{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\" fill=\"none\" "
        "stroke=\"#222\" stroke-width=\"2\"/>\n",
        x(start), y(start * read_), x(ridge), y(peak_), x(end), y(peak_));
    text(kRight - 6, y(peak_) - 8, "end", "#222", fmt::format("INT8 peak {:.0f} GOPS", peak_));
    if (float_peak > 0 && float_peak < peak_) {
      line(x(float_peak / read_), y(float_peak), kRight, y(float_peak), "#888",
           " stroke-dasharray=\"6 4\"");
      text(kRight - 6, y(float_peak) - 8, "end", "#666",
           fmt::format("F32 peak {:.0f} GFLOPS", float_peak));
    }
    // Along the slope, a third of the way up.
    const double middle = std::pow(10.0, std::log10(start) + std::log10(ridge / start) / 3);
    const double angle = std::atan2(y(peak_) - y(start * read_), x(ridge) - x(start));
    svg_ += fmt::format(
        "<text transform=\"translate({:.1f} {:.1f}) rotate({:.1f})\" fill=\"#222\">"
        "reads {:.1f} GB/s</text>\n",
        x(middle), y(middle * read_) - 8, angle * 180 / M_PI, read_);
  }

  // Labels that would cover one another are moved down.
  void points(std::vector<RooflinePoint> all) {
    std::ranges::sort(all, std::greater(), &RooflinePoint::ops_per_second);
    struct Label {
      double x, y, width;
    };
    std::vector<Label> taken;
    for (const RooflinePoint& point : all) {
      const double at_x = x(point.ops_per_byte);
      const double at_y = y(point.ops_per_second / 1e9);
      const double wide = 7.0 * static_cast<double>(point.label.size());
      const bool left = at_x + 10 + wide > kRight;
      double label_y = at_y + 4;
      const double label_x = left ? at_x - 10 - wide : at_x + 10;
      for (const Label& other : taken) {
        const bool beside = label_x + wide < other.x || other.x + other.width < label_x;
        if (!beside && label_y < other.y + 14) label_y = other.y + 14;
      }
      taken.push_back({label_x, label_y, wide});
      const std::string_view colour = point.prefill ? kPrefillColour : kDecodeColour;
      svg_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n", at_x, at_y,
                          colour);
      text(left ? at_x - 10 : at_x + 10, label_y, left ? "end" : "start", colour, point.label);
    }
  }

  void title(std::string_view words) {
    svg_ += fmt::format("<text x=\"{:.0f}\" y=\"34\" font-size=\"17\" fill=\"#111\">{}</text>\n",
                        kLeft, escaped(words));
  }

  std::string finish() {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "width=\"{0:.0f}\" height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{2}</svg>\n",
        kWidth, kHeight, svg_);
  }

 private:
  double x(double ops_per_byte) const {
    return kLeft + (kRight - kLeft) * (std::log10(ops_per_byte) - x_from_) / (x_to_ - x_from_);
  }
  double y(double gops) const {
    return kBottom - (kBottom - kTop) * (std::log10(gops) - y_from_) / (y_to_ - y_from_);
  }
  void line(double x1, double y1, double x2, double y2, std::string_view colour,
            std::string_view more) {
    svg_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"{}/>\n", x1, y1,
        x2, y2, colour, more);
  }
  void text(double at_x, double at_y, std::string_view anchor, std::string_view colour,
            std::string_view words) {
    svg_ +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n",
                    at_x, at_y, anchor, colour, escaped(words));
  }

  double read_;        // GB/s
  double peak_;        // GOPS
  double x_from_ = 0;  // exponents of ten
  double x_to_ = 0;
  double y_from_ = 0;
  double y_to_ = 0;
  std::string svg_;
};

}  // namespace

std::string draw_roofline(std::string_view title, const MachineLimits& limits,
                          const std::vector<RooflinePoint>& points) {
  Drawing drawing(limits, points);
  drawing.grid();
  drawing.roof(limits.float_ops_per_second / 1e9);
  drawing.points(points);
  drawing.title(title);
  return drawing.finish();
}

}  // namespace fathom::cli

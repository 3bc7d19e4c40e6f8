#include "cli/route_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace fathom::cli {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 440;
constexpr double kLeft = 70;
constexpr double kRight = 690;
constexpr double kTop = 40;
constexpr double kBottom = 380;
constexpr int kSteps = 5;

// One axis from 0 to `most`, in picture coordinates.
double place(double value, double most, double from, double to) {
  return from + (to - from) * value / most;
}

}  // namespace

std::string curve_table(std::span<const route::CurvePoint> curve, size_t rows) {
  std::string out = fmt::format("{:>10} {:>14} {:>9} {:>18}\n", "threshold", "V1 answers",
                                "quality", "cost (V1 = 100%)");
  const size_t count = std::min(rows, curve.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t at = count == 1 ? 0 : i * (curve.size() - 1) / (count - 1);
    const route::CurvePoint& point = curve[at];
    out += fmt::format("{:>10.3f} {:>13.1f}% {:>9.3f} {:>17.1f}%\n", point.threshold,
                       100 * point.escalated, point.quality, 100 * point.cost);
  }
  return out;
}

std::string draw_curve(std::span<const route::CurvePoint> curve, const route::CurvePoint& chosen) {
  double most_cost = 1;
  for (const route::CurvePoint& point : curve) most_cost = std::max(most_cost, point.cost);
  const auto x = [&](double cost) { return place(cost, most_cost, kLeft, kRight); };
  const auto y = [&](double quality) { return place(quality, 1, kBottom, kTop); };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"sans-serif\" font-size=\"13\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      kWidth, kHeight);
  for (int i = 0; i <= kSteps; ++i) {
    const double share = static_cast<double>(i) / kSteps;
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{2:.1f}\" y2=\"{1:.1f}\" stroke=\"#ddd\"/>"
        "<text x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\" fill=\"#444\">{5:.1f}</text>\n",
        kLeft, y(share), kRight, kLeft - 8, y(share) + 4, share);
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/>"
        "<text x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\" fill=\"#444\">{4:.0f}%</text>\n",
        x(share * most_cost), kTop, kBottom, kBottom + 20, 100 * share * most_cost);
  }
  svg += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" fill=\"#222\">cost, of V1 answering "
      "everything</text>\n"
      "<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"#222\">quality</text>\n<polyline points=\"",
      (kLeft + kRight) / 2, kBottom + 45, kLeft - 50, kTop - 14);
  for (const route::CurvePoint& point : curve) {
    svg += fmt::format("{:.1f},{:.1f} ", x(point.cost), y(point.quality));
  }
  svg += fmt::format(
      "\" fill=\"none\" stroke=\"#1f5fb3\" stroke-width=\"2\"/>\n"
      "<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"5\" fill=\"#b3391f\"/>\n"
      "<text x=\"{2:.1f}\" y=\"{3:.1f}\" text-anchor=\"end\" fill=\"#b3391f\">threshold "
      "{4:.3f}</text>\n</svg>\n",
      x(chosen.cost), y(chosen.quality), std::max(x(chosen.cost) - 8, kLeft + 110),
      y(chosen.quality) + 22, chosen.threshold);
  return svg;
}

}  // namespace fathom::cli

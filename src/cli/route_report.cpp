#include "cli/route_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/svg.h"

namespace fathom::cli {
namespace {

constexpr double kLeft = 70;
constexpr double kTop = 40;
constexpr double kWide = 620;
constexpr double kHigh = 340;

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
  std::vector<svg::Point> points;
  points.reserve(curve.size());
  for (const route::CurvePoint& point : curve) {
    most_cost = std::max(most_cost, point.cost);
    points.push_back({100 * point.cost, point.quality});
  }
  svg::Picture picture(720, 440, 13);
  svg::Diagram diagram(
      picture, {kLeft, kTop}, kWide, kHigh,
      {.name = "cost, of V1 answering everything", .to = 100 * most_cost, .unit = "%"},
      {.name = "quality"});
  diagram.curve(points, svg::kBlue);
  const svg::Point at = diagram.place({100 * chosen.cost, chosen.quality});
  picture.circle(at, 5, svg::kRed);
  picture.text({std::max(at.x - 8, kLeft + 110), at.y + 22},
               fmt::format("threshold {:.3f}", chosen.threshold), svg::kRed, svg::Anchor::kEnd);
  return picture.finish();
}

}  // namespace fathom::cli

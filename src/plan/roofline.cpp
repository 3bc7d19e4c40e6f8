#include "plan/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/svg.h"

namespace fathom::plan {
namespace {

constexpr double kLeft = 80;
constexpr double kRight = 860;
constexpr double kTop = 70;
constexpr double kBottom = 500;

// Of billions of operations a second.
std::string operations(double billions, std::string_view unit) {
  return billions >= 1e4 ? fmt::format("{:.4g} T{}", billions / 1e3, unit)
                         : fmt::format("{:.0f} G{}", billions, unit);
}

class Drawing {
 public:
  Drawing(const MachineLimits& limits, const std::vector<RooflinePoint>& points)
      : read_(limits.read_bytes_per_second / 1e9),
        peak_(limits.int8_ops_per_second / 1e9),
        picture_(900, 560),
        diagram_(picture_, {kLeft, kTop}, kRight - kLeft, kBottom - kTop, x_axis(points),
                 y_axis(points)) {}

  void roof(double float_peak) {
    const double ridge = peak_ / read_;
    const double start = std::max(diagram_.x().from, diagram_.y().from / read_);
    const svg::Point low{start, start * read_};
    const svg::Point high{ridge, peak_};
    diagram_.curve(std::vector<svg::Point>{low, high, {diagram_.x().to, peak_}}, "#222");
    const double peak_at = diagram_.place(high).y;
    picture_.text({kRight - 6, peak_at - 8}, fmt::format("INT8 peak {}", operations(peak_, "OPS")),
                  "#222", svg::Anchor::kEnd);
    if (float_peak > 0 && float_peak < peak_) {
      const svg::Point from = diagram_.place({float_peak / read_, float_peak});
      picture_.line(from, {kRight, from.y}, "#888", "6 4");
      picture_.text({kRight - 6, from.y - 8},
                    fmt::format("float peak {}", operations(float_peak, "FLOPS")), "#666",
                    svg::Anchor::kEnd);
    }
    // Along the slope, a third of the way up.
    const double middle = start * std::pow(ridge / start, 1.0 / 3);
    const svg::Point from = diagram_.place(low);
    const svg::Point to = diagram_.place(high);
    const double angle = std::atan2(to.y - from.y, to.x - from.x) * 180 / std::numbers::pi;
    const svg::Point at = diagram_.place({middle, middle * read_});
    picture_.text({at.x, at.y - 8}, fmt::format("reads {:.1f} GB/s", read_), "#222",
                  svg::Anchor::kStart, angle);
  }

  // Labels that would cover one another are moved down.
  void points(std::vector<RooflinePoint> all) {
    std::ranges::sort(all, std::greater(), &RooflinePoint::ops_per_second);
    struct Label {
      double x, y, width;
    };
    std::vector<Label> taken;
    taken.reserve(all.size());
    for (const RooflinePoint& point : all) {
      const svg::Point at = diagram_.place({point.ops_per_byte, point.ops_per_second / 1e9});
      const double wide = 7.0 * static_cast<double>(point.label.size());
      const bool left = at.x + 10 + wide > kRight;
      double label_y = at.y + 4;
      const double label_x = left ? at.x - 10 - wide : at.x + 10;
      for (const Label& other : taken) {
        const bool beside = label_x + wide < other.x || other.x + other.width < label_x;
        if (!beside && label_y < other.y + 14) label_y = other.y + 14;
      }
      taken.push_back({label_x, label_y, wide});
      const std::string_view colour = point.prefill ? svg::kRed : svg::kBlue;
      picture_.circle(at, 4, colour);
      picture_.text({left ? at.x - 10 : at.x + 10, label_y}, point.label, colour,
                    left ? svg::Anchor::kEnd : svg::Anchor::kStart);
    }
  }

  std::string finish(std::string_view title) {
    picture_.text({kLeft, 34}, title, "#111", svg::Anchor::kStart, 0, 17);
    return picture_.finish();
  }

 private:
  svg::Axis x_axis(const std::vector<RooflinePoint>& points) const {
    const double ridge = peak_ / read_;
    svg::Axis axis{.name = "operations for each byte from memory",
                   .from = ridge / 10,
                   .to = ridge * 10,
                   .logarithmic = true};
    for (const RooflinePoint& point : points) {
      axis.from = std::min(axis.from, point.ops_per_byte);
      axis.to = std::max(axis.to, point.ops_per_byte);
    }
    return axis;
  }
  svg::Axis y_axis(const std::vector<RooflinePoint>& points) const {
    svg::Axis axis{.name = "GOPS (billions of operations a second)",
                   .from = peak_ / 10,
                   .to = peak_ * 1.5,
                   .logarithmic = true};
    for (const RooflinePoint& point : points) {
      axis.from = std::min(axis.from, point.ops_per_second / 1e9);
    }
    return axis;
  }

  double read_;  // GB/s
  double peak_;  // GOPS
  svg::Picture picture_;
  svg::Diagram diagram_;
};

}  // namespace

std::string draw_roofline(std::string_view title, const MachineLimits& limits,
                          const std::vector<RooflinePoint>& points) {
  Drawing drawing(limits, points);
  drawing.roof(limits.float_ops_per_second / 1e9);
  drawing.points(points);
  return drawing.finish(title);
}

}  // namespace fathom::plan

#include "base/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace fathom::svg {
namespace {

constexpr std::string_view kGrid = "#ddd";
constexpr std::string_view kNumbers = "#444";
constexpr int kMostDecades = 12;  // with a number at each; of more, at every other

std::string_view word(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "start";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "start";
}

// Powers of ten as people write them: 0.1, 1, 1000, 10k, 1M.
std::string power_text(int exponent) {
  if (exponent < 0) return fmt::format("{:.{}f}", std::pow(10.0, exponent), -exponent);
  if (exponent < 4) return fmt::format("{:.0f}", std::pow(10.0, exponent));
  constexpr std::array<std::string_view, 5> kUnits{"", "k", "M", "G", "T"};
  const auto unit = std::min(static_cast<size_t>(exponent / 3), kUnits.size() - 1);
  return fmt::format("{:.0f}{}", std::pow(10.0, exponent - 3 * static_cast<int>(unit)),
                     kUnits[unit]);
}

std::string number_text(double value) {
  if (std::abs(value) < 1e4) return fmt::format("{:g}", value);
  if (std::abs(value) < 1e6) return fmt::format("{:g}k", value / 1e3);
  if (std::abs(value) < 1e9) return fmt::format("{:g}M", value / 1e6);
  return fmt::format("{:g}G", value / 1e9);
}

void widen(Axis& axis) {
  if (axis.logarithmic) {
    axis.from = std::pow(10.0, std::floor(std::log10(axis.from) + 1e-9));
    axis.to = std::pow(10.0, std::ceil(std::log10(axis.to) - 1e-9));
    if (!(axis.to > axis.from)) axis.to = axis.from * 10;
  } else if (!(axis.to > axis.from)) {
    axis.to = axis.from + 1;
  }
}

double share(const Axis& axis, double value) {
  if (!axis.logarithmic) return (value - axis.from) / (axis.to - axis.from);
  return (std::log10(value) - std::log10(axis.from)) /
         (std::log10(axis.to) - std::log10(axis.from));
}

}  // namespace

std::string_view series_colour(size_t i) {
  constexpr std::array kColours{kBlue, kRed, kGreen, kViolet, kOrange};
  return kColours[i % kColours.size()];
}

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
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
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

void Picture::line(Point from, Point to, std::string_view colour, std::string_view dashes) {
  shapes_ +=
      fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"",
                  from.x, from.y, to.x, to.y, colour);
  if (!dashes.empty()) shapes_ += fmt::format(" stroke-dasharray=\"{}\"", dashes);
  shapes_ += "/>\n";
}

void Picture::polyline(std::span<const Point> points, std::string_view colour) {
  shapes_ += "<polyline points=\"";
  for (const Point& point : points) shapes_ += fmt::format("{:.1f},{:.1f} ", point.x, point.y);
  shapes_ += fmt::format("\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", colour);
}

void Picture::circle(Point centre, double radius, std::string_view colour, double opacity) {
  shapes_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:g}\" fill=\"{}\"", centre.x,
                         centre.y, radius, colour);
  if (opacity < 1) shapes_ += fmt::format(" fill-opacity=\"{:g}\"", opacity);
  shapes_ += "/>\n";
}

void Picture::rectangle(Point corner, double width, double height, std::string_view colour) {
  shapes_ += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n",
      corner.x, corner.y, width, height, colour);
}

void Picture::text(Point at, std::string_view words, std::string_view colour, Anchor anchor,
                   double degrees, double font_size) {
  shapes_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\"", at.x,
                         at.y, word(anchor), colour);
  if (degrees != 0) {
    shapes_ += fmt::format(" transform=\"rotate({:.1f} {:.1f} {:.1f})\"", degrees, at.x, at.y);
  }
  if (font_size > 0) shapes_ += fmt::format(" font-size=\"{:g}\"", font_size);
  shapes_ += fmt::format(">{}</text>\n", escaped(words));
}

std::string Picture::finish(std::string_view label) const {
  const std::string spoken =
      label.empty() ? "" : fmt::format(" role=\"img\" aria-label=\"{}\"", escaped(label));
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"{2:g}\"{3}>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{4}</svg>\n",
      width_, height_, font_size_, spoken, shapes_);
}

double step_of(double most) {
  const double power = std::pow(10.0, std::floor(std::log10(most / 5)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (most / (factor * power) <= 5) return factor * power;
  }
  return 10 * power;
}

Diagram::Diagram(Picture& picture, Point corner, double width, double height, Axis x, Axis y,
                 std::string_view title)
    : picture_(picture),
      corner_(corner),
      width_(width),
      height_(height),
      x_(std::move(x)),
      y_(std::move(y)) {
  widen(x_);
  widen(y_);
  draw_ticks(x_, true);
  draw_ticks(y_, false);
  picture_.text({left() + width_ / 2, bottom() + 38}, x_.name, "#222", Anchor::kMiddle);
  if (!y_.name.empty()) {
    picture_.text({left() - 52, top() + height_ / 2}, y_.name, "#222", Anchor::kMiddle, -90);
  }
  if (!title.empty()) picture_.text({left(), top() - 12}, title, "#111");
}

Point Diagram::place(Point value) const {
  return {corner_.x + width_ * share(x_, value.x), corner_.y + height_ * (1 - share(y_, value.y))};
}

void Diagram::draw_ticks(const Axis& axis, bool horizontal) {
  const auto tick = [&](double at, const std::string& text) {
    const double along = share(axis, at);
    if (horizontal) {
      const double px = left() + width_ * along;
      picture_.line({px, top()}, {px, bottom()}, kGrid);
      picture_.text({px, bottom() + 18}, text + axis.unit, kNumbers, Anchor::kMiddle);
    } else {
      const double py = bottom() - height_ * along;
      picture_.line({left(), py}, {right(), py}, kGrid);
      picture_.text({left() - 8, py + 4}, text + axis.unit, kNumbers, Anchor::kEnd);
    }
  };
  if (axis.logarithmic) {
    const int first = static_cast<int>(std::lround(std::log10(axis.from)));
    const int last = static_cast<int>(std::lround(std::log10(axis.to)));
    const int every = last - first > kMostDecades ? 2 : 1;
    for (int e = first; e <= last; e += every) tick(std::pow(10.0, e), power_text(e));
    return;
  }
  const double step = step_of(axis.to - axis.from);
  for (int i = 0; axis.from + i * step <= axis.to * (1 + 1e-9); ++i) {
    tick(axis.from + i * step, number_text(axis.from + i * step));
  }
}

void Diagram::curve(std::span<const Point> values, std::string_view colour) {
  std::vector<Point> points;
  points.reserve(values.size());
  for (const Point& value : values) points.push_back(place(value));
  picture_.polyline(points, colour);
}

void Diagram::dots(std::span<const Point> values, std::string_view colour, double radius,
                   double opacity) {
  for (const Point& value : values) picture_.circle(place(value), radius, colour, opacity);
}

}  // namespace fathom::svg

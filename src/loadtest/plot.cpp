#include "loadtest/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "loadtest/summary.h"

namespace fathom::loadtest {
namespace {

constexpr double kWidth = 960;
constexpr double kHeight = 640;
constexpr double kPanelWidth = 370;
constexpr double kPanelHeight = 200;
constexpr std::string_view kBlue = "#1f5fb3";
constexpr std::string_view kRed = "#b3391f";

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
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

// The least of 1, 2 or 5 times a power of ten that makes at most five steps of `most`.
double step_of(double most) {
  const double power = std::pow(10.0, std::floor(std::log10(most / 5)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (most / (factor * power) <= 5) return factor * power;
  }
  return 10 * power;
}

struct Point {
  double x = 0;
  double y = 0;
};

// One diagram with axes from zero.
class Panel {
 public:
  Panel(double left, double top, std::string_view title, std::string_view x_name, double most_x,
        double most_y)
      : left_(left), top_(top), most_x_(most_x > 0 ? most_x : 1), most_y_(most_y > 0 ? most_y : 1) {
    text(left_, top_ - 12, "start", "#111", title);
    text(left_ + kPanelWidth / 2, top_ + kPanelHeight + 36, "middle", "#444", x_name);
    const double step_x = step_of(most_x_);
    for (int i = 0; i * step_x <= most_x_; ++i) {
      const double at = x(i * step_x);
      line(at, top_, at, top_ + kPanelHeight);
      text(at, top_ + kPanelHeight + 18, "middle", "#444", fmt::format("{:g}", i * step_x));
    }
    const double step_y = step_of(most_y_);
    for (int i = 0; i * step_y <= most_y_; ++i) {
      const double at = y(i * step_y);
      line(left_, at, left_ + kPanelWidth, at);
      text(left_ - 8, at + 4, "end", "#444", fmt::format("{:g}", i * step_y));
    }
  }

  void curve(const std::vector<Point>& points, std::string_view colour) {
    svg_ += "<polyline points=\"";
    for (const Point& point : points) svg_ += fmt::format("{:.1f},{:.1f} ", x(point.x), y(point.y));
    svg_ += fmt::format("\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", colour);
  }
  void dots(const std::vector<Point>& points, std::string_view colour) {
    for (const Point& point : points) {
      svg_ += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2\" fill=\"{}\" fill-opacity=\"0.5\"/>\n",
          x(point.x), y(point.y), colour);
    }
  }
  const std::string& svg() const { return svg_; }

 private:
  double x(double value) const { return left_ + kPanelWidth * value / most_x_; }
  double y(double value) const { return top_ + kPanelHeight * (1 - value / most_y_); }
  void line(double x1, double y1, double x2, double y2) {
    svg_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", x1, y1,
        x2, y2);
  }
  void text(double at_x, double at_y, std::string_view anchor, std::string_view colour,
            std::string_view words) {
    svg_ +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n",
                    at_x, at_y, anchor, colour, escaped(words));
  }

  double left_;
  double top_;
  double most_x_;
  double most_y_;
  std::string svg_;
};

// The share of values below each value, in percent.
std::vector<Point> cumulative(std::vector<double> values) {
  std::ranges::sort(values);
  std::vector<Point> points;
  points.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    points.push_back(
        {values[i], 100.0 * static_cast<double>(i + 1) / static_cast<double>(values.size())});
  }
  return points;
}

double most(const std::vector<Point>& points, double Point::* axis) {
  double result = 0;
  for (const Point& point : points) result = std::max(result, point.*axis);
  return result;
}

}  // namespace

std::string draw_run(std::string_view title, const RunLog& log, double seconds) {
  constexpr size_t kBins = 60;
  std::vector<Point> rate;
  const std::vector<double> counts = tokens_over_time(log, seconds, kBins);
  const double width = seconds / kBins;
  for (size_t i = 0; i < kBins && seconds > 0; ++i) {
    rate.push_back({(static_cast<double>(i) + 0.5) * width, counts[i] / width});
  }
  std::vector<Point> first_over_time;
  std::vector<double> first;
  std::vector<double> inter;
  for (const Record& record : log.records) {
    if (!record.answered() || record.arrivals.empty()) continue;
    first.push_back(record.arrivals.front() - record.begun);
    first_over_time.push_back({record.begun, first.back()});
    if (record.tokens() > 1 && record.arrivals.size() > 1) {
      inter.push_back(1000 * (record.arrivals.back() - record.arrivals.front()) /
                      static_cast<double>(record.tokens() - 1));
    }
  }
  const auto first_spread = cumulative(std::move(first));
  const auto inter_spread = cumulative(std::move(inter));

  Panel a(80, 90, "output tokens a second", "seconds", seconds, most(rate, &Point::y) * 1.1);
  a.curve(rate, kBlue);
  Panel b(560, 90, "seconds to the first token, of each request", "begun after, in seconds",
          most(first_over_time, &Point::x), most(first_over_time, &Point::y) * 1.1);
  b.dots(first_over_time, kRed);
  Panel c(80, 390, "% of streams with less between two tokens", "milliseconds (mean of a stream)",
          most(inter_spread, &Point::x), 100);
  c.curve(inter_spread, kBlue);
  Panel d(560, 390, "% of requests with less to the first token", "seconds",
          most(first_spread, &Point::x), 100);
  d.curve(first_spread, kRed);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"80\" y=\"40\" font-size=\"17\" fill=\"#111\">{2}</text>\n{3}{4}{5}{6}</svg>\n",
      kWidth, kHeight, escaped(title), a.svg(), b.svg(), c.svg(), d.svg());
}

}  // namespace fathom::loadtest

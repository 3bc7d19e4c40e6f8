#include "loadtest/plot.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/svg.h"
#include "loadtest/summary.h"

namespace fathom::loadtest {
namespace {

using svg::Point;

constexpr double kPanelWidth = 370;
constexpr double kPanelHeight = 200;

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

  svg::Picture picture(960, 640);
  picture.text({80, 40}, title, "#111", svg::Anchor::kStart, 0, 17);
  const auto panel = [&](Point corner, std::string_view words, std::string x_name, double most_x,
                         double most_y) {
    return svg::Diagram(picture, corner, kPanelWidth, kPanelHeight,
                        {.name = std::move(x_name), .to = most_x}, {.name = "", .to = most_y},
                        words);
  };
  panel({80, 90}, "output tokens a second", "seconds", seconds, most(rate, &Point::y) * 1.1)
      .curve(rate, svg::kBlue);
  panel({560, 90}, "seconds to the first token, of each request", "begun after, in seconds",
        most(first_over_time, &Point::x), most(first_over_time, &Point::y) * 1.1)
      .dots(first_over_time, svg::kRed);
  panel({80, 390}, "% of streams with less between two tokens", "milliseconds (mean of a stream)",
        most(inter_spread, &Point::x), 100)
      .curve(inter_spread, svg::kBlue);
  panel({560, 390}, "% of requests with less to the first token", "seconds",
        most(first_spread, &Point::x), 100)
      .curve(first_spread, svg::kRed);
  return picture.finish();
}

}  // namespace fathom::loadtest

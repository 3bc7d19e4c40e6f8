#include "cli/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace fathom::cli {
namespace {

constexpr double kLeft = 170;   // where the picture of differences begins
constexpr double kWidth = 500;  // and how wide it is
constexpr double kRow = 34;
constexpr double kTop = 56;

// Names come from files: they are text, whatever they look like.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return out;
}

// A difference is told from chance where its interval does not hold 0.
std::string_view colour(const Comparison& row) {
  if (row.low > 0) return "#1a7f4b";
  if (row.high < 0) return "#b3261e";
  return "#5b6472";
}

// The largest difference that is drawn: a round number of hundredths.
double reach(const ComparisonPage& page) {
  double most = 0.01;
  for (const auto& [task, row] : page.rows) {
    most = std::max({most, std::abs(row.low), std::abs(row.high)});
  }
  for (const double round : {0.01, 0.02, 0.05, 0.1, 0.2, 0.5}) {
    if (most <= round) return round;
  }
  return 1;
}

}  // namespace

std::string draw_svg(const ComparisonPage& page) {
  const double most = reach(page);
  const auto x = [&](double difference) {
    return kLeft + kWidth * (std::clamp(difference / most, -1.0, 1.0) + 1) / 2;
  };
  const double bottom = kTop + kRow * static_cast<double>(page.rows.size());
  std::string svg;
  auto out = std::back_inserter(svg);
  fmt::format_to(out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" "
                 "role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n"
                 "<title>{} less {}, share of questions answered right</title>\n"
                 "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
                 "<text x=\"16\" y=\"26\" font-size=\"15\" fill=\"#1c2330\">B less A, in points of "
                 "the share answered right</text>\n",
                 kLeft + kWidth + 90, bottom + 40, escaped(page.b), escaped(page.a));
  for (const double part : {-1.0, -0.5, 0.0, 0.5, 1.0}) {
    fmt::format_to(out,
                   "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" "
                   "stroke=\"{3}\"/>\n<text x=\"{0:.1f}\" y=\"{4:.1f}\" text-anchor=\"middle\" "
                   "fill=\"#5b6472\">{5:+.1f}</text>\n",
                   x(part * most), kTop - 10, bottom, part == 0 ? "#1c2330" : "#d9dee6",
                   bottom + 20, 100 * part * most);
  }
  double y = kTop + kRow / 2 - 5;
  for (const auto& [task, row] : page.rows) {
    fmt::format_to(out,
                   "<text x=\"16\" y=\"{1:.1f}\" fill=\"#1c2330\">{0}</text>\n"
                   "<line x1=\"{2:.1f}\" x2=\"{3:.1f}\" y1=\"{4:.1f}\" y2=\"{4:.1f}\" "
                   "stroke=\"{6}\" stroke-width=\"3\"/>\n"
                   "<circle cx=\"{5:.1f}\" cy=\"{4:.1f}\" r=\"5\" fill=\"{6}\"/>\n"
                   "<text x=\"{7:.1f}\" y=\"{1:.1f}\" fill=\"{6}\">{8:+.2f}</text>\n",
                   escaped(task), y + 4, x(row.low), x(row.high), y, x(row.difference), colour(row),
                   kLeft + kWidth + 16, 100 * row.difference);
    y += kRow;
  }
  return svg + "</svg>\n";
}

std::string draw_html(const ComparisonPage& page) {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0} and {1}</title>\n<style>\n"
      "body{{font:16px/1.5 system-ui,sans-serif;color:#1c2330;max-width:56rem;margin:2rem auto;"
      "padding:0 1rem}}\n"
      "table{{border-collapse:collapse;width:100%}}\n"
      "th,td{{text-align:right;padding:.35rem .6rem;border-bottom:1px solid #d9dee6}}\n"
      "th:first-child,td:first-child{{text-align:left}}\nsvg{{max-width:100%}}\n"
      ".scroll{{overflow-x:auto}}\n</style>\n</head>\n<body>\n"
      "<h1>Two models on the same questions</h1>\n<p>A: <b>{0}</b><br>B: <b>{1}</b></p>\n",
      escaped(page.a), escaped(page.b));
  html += draw_svg(page);
  html +=
      "<div class=\"scroll\"><table>\n<tr><th>task</th><th>questions</th><th>A right</th><th>B "
      "right</th><th>B &minus; A</th><th>95% of samples</th><th>only A</th><th>only B</th>"
      "<th>p</th></tr>\n";
  for (const auto& [task, row] : page.rows) {
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{:.2f}%</td><td>{:.2f}%</td><td>{:+.2f}%</td>"
        "<td>{:+.2f}% to {:+.2f}%</td><td>{}</td><td>{}</td><td>{:.4f}</td></tr>\n",
        escaped(task), row.questions, 100 * row.a, 100 * row.b, 100 * row.difference, 100 * row.low,
        100 * row.high, row.only_a, row.only_b, row.p_value);
  }
  html +=
      "</table></div>\n<p>Questions are paired. The interval holds the middle 95% of bootstrap "
      "samples of the questions; where it holds 0, the models cannot be told apart on this task. "
      "p is McNemar's exact test: how often a difference at least as large would come about if "
      "both "
      "models were equally good.</p>\n</body>\n</html>\n";
  return html;
}

}  // namespace fathom::cli

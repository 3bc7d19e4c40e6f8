#include "plan/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/svg.h"
#include "plan/curves.h"
#include "plan/roofline.h"

namespace fathom::plan {
namespace {

using svg::Point;

constexpr size_t kDrawn = 5;    // deployments in each plot
constexpr size_t kListed = 15;  // rows of each table
constexpr double kLeft = 90;
constexpr double kTop = 40;
constexpr double kWide = 560;
constexpr double kHigh = 280;
constexpr double kLegend = 700;  // where the legend begins

constexpr std::string_view kStyle =
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:#16232c;background:#fff;max-width:90rem;margin:2rem "
    "auto;padding:0 1rem}table{border-collapse:collapse;font-size:14px}th,td{padding:.3rem "
    ".7rem;border-bottom:1px solid "
    "#dce4e8;text-align:left;vertical-align:top}td.n,th.n{text-align:right;"
    "font-variant-numeric:tabular-nums}td.n{white-space:nowrap}.scroll{overflow-x:auto}td.k{white-"
    "space:nowrap}svg{max-"
    "width:100%;height:auto}"
    "code{background:#f2f5f7;padding:.1rem .3rem}";

std::string label_of(const Ranked& ranked) {
  return fmt::format("{} {}, {}", ranked.deployment.model.title, ranked.deployment.model.precision,
                     placement_text(ranked.deployment));
}

void legend(svg::Picture& picture, std::span<const Ranked> shown) {
  for (size_t i = 0; i < shown.size(); ++i) {
    const double y = kTop + 16 + 34 * static_cast<double>(i);
    picture.rectangle({kLegend, y - 10}, 12, 12, svg::series_colour(i));
    picture.text({kLegend + 18, y}, fmt::format("{} {}", shown[i].deployment.model.title,
                                                shown[i].deployment.model.precision));
    picture.text({kLegend + 18, y + 14}, placement_text(shown[i].deployment), "#546570");
  }
}

std::string cost_plot(const Question& question, std::span<const Ranked> shown) {
  std::vector<std::vector<Point>> curves;
  curves.reserve(shown.size());
  double low = 1e12;
  double high = 1;
  for (const Ranked& ranked : shown) {
    curves.push_back(cost_over_volume(ranked.deployment, ranked.prediction, question.prices));
    for (const Point& point : curves.back()) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
    }
  }
  if (low > high) return "<p>The cost of none of them is known.</p>\n";
  svg::Picture picture(1000, 380);
  svg::Diagram diagram(picture, {kLeft, kTop}, kWide, kHigh,
                       {.name = "requests a month", .from = 1e4, .to = 1e9, .logarithmic = true},
                       {.name = "US dollars a month",
                        .from = std::max(low, 0.01),
                        .to = std::max(high, 0.02),
                        .logarithmic = true});
  for (size_t i = 0; i < curves.size(); ++i) {
    if (!curves[i].empty()) diagram.curve(curves[i], svg::series_colour(i));
  }
  legend(picture, shown);
  return picture.finish("Cost of a month over its requests");
}

std::string latency_plot(const Question& question, std::span<const Ranked> shown) {
  const Demand demand = demand_of(question.workload);
  std::vector<std::vector<LatencyAtLoad>> curves;
  curves.reserve(shown.size());
  double least = 1e12;
  double most = 0;
  double slowest = 1;
  double fastest = 1e12;
  for (const Ranked& ranked : shown) {
    curves.push_back(latency_over_load(ranked.deployment, demand, ranked.prediction));
    for (const LatencyAtLoad& point : curves.back()) {
      least = std::min(least, point.requests_per_second);
      most = std::max(most, point.requests_per_second);
      slowest = std::max({slowest, point.ttft_ms, point.itl_ms});
      fastest = std::min({fastest, point.ttft_ms, std::max(point.itl_ms, 0.01)});
    }
  }
  if (most <= 0) return "<p>None of them bears any load.</p>\n";
  svg::Picture picture(1000, 380);
  svg::Diagram diagram(
      picture, {kLeft, kTop}, kWide, kHigh,
      {.name = "requests a second", .from = least, .to = most, .logarithmic = true},
      {.name = "ms at the 90th percentile", .from = fastest, .to = slowest, .logarithmic = true});
  for (size_t i = 0; i < curves.size(); ++i) {
    std::vector<Point> first;
    std::vector<Point> between;
    first.reserve(curves[i].size());
    between.reserve(curves[i].size());
    for (const LatencyAtLoad& point : curves[i]) {
      first.push_back({point.requests_per_second, point.ttft_ms});
      between.push_back({point.requests_per_second, std::max(point.itl_ms, 0.01)});
    }
    diagram.curve(first, svg::series_colour(i));
    diagram.dots(between, svg::series_colour(i), 3, 1);
  }
  legend(picture, shown);
  picture.text({kLegend, kTop + kHigh - 20}, "line: to the first token", "#546570");
  picture.text({kLegend, kTop + kHigh - 4}, "dots: between two tokens", "#546570");
  return picture.finish("Latency over load");
}

std::string memory_plot(std::span<const Ranked> shown) {
  constexpr double kBar = 26;
  constexpr double kRow = 52;
  const double height = 90 + kRow * static_cast<double>(shown.size());
  svg::Picture picture(1000, height);
  double most = 1;
  for (const Ranked& ranked : shown) {
    most = std::max({most, ranked.prediction.memory.total() / 1e9,
                     static_cast<double>(ranked.deployment.hardware.memory_bytes) / 1e9});
  }
  const double bottom = 30 + kRow * static_cast<double>(shown.size());
  const auto x_of = [most](double gigabytes) { return 30 + 900 * gigabytes / (most * 1.02); };
  for (int i = 0; i * svg::step_of(most) <= most; ++i) {
    const double gigabytes = i * svg::step_of(most);
    picture.line({x_of(gigabytes), 20}, {x_of(gigabytes), bottom}, "#ddd");
    picture.text({x_of(gigabytes), bottom + 18}, fmt::format("{:g} GB", gigabytes), "#444",
                 svg::Anchor::kMiddle);
  }
  for (size_t i = 0; i < shown.size(); ++i) {
    const MemoryUse& use = shown[i].prediction.memory;
    const double y = 40 + kRow * static_cast<double>(i);
    picture.text({34, y - 5}, label_of(shown[i]));
    double from = 0;
    size_t part = 0;
    for (const double bytes : {use.weights, use.cache, use.activations, use.program}) {
      const double left = x_of(from);
      const double right = x_of(from + bytes / 1e9);
      picture.rectangle({left, y}, right - left, kBar, svg::series_colour(part++));
      from += bytes / 1e9;
    }
    const double limit = x_of(static_cast<double>(shown[i].deployment.hardware.memory_bytes) / 1e9);
    picture.line({limit, y}, {limit, y + kBar}, "#111", "3 2");
  }
  double x = 200;
  size_t part = 0;
  for (const std::string_view words : {"weights", "cache", "activations", "program"}) {
    picture.rectangle({x, height - 16}, 12, 12, svg::series_colour(part++));
    picture.text({x + 17, height - 5}, words);
    x += 110;
  }
  picture.text({x, height - 5}, "dashed: all of its memory", "#546570");
  return picture.finish("Memory by part");
}

std::string roofline_plot(const Ranked& best) {
  const Hardware& hardware = best.deployment.hardware;
  const Ceilings& ceilings = hardware.ceilings;
  if (ceilings.int8_ops_per_second <= 0 || ceilings.read_bytes_per_second <= 0) return "";
  const MachineLimits limits{.read_bytes_per_second = ceilings.read_bytes_per_second,
                             .int8_ops_per_second = ceilings.int8_ops_per_second,
                             .float_ops_per_second = ceilings.float_ops_per_second};
  const StepTimer timer(best.deployment);
  std::vector<RooflinePoint> points;
  const auto add = [&](std::string label, bool prefill, const StepWork& work) {
    const StepTime time = timer.time(work);
    // Parts' seconds are at the share of the ceilings that steps reach, where that is stated.
    const Efficiency stated =
        hardware.costs ? Efficiency{.memory = 1, .compute = 1} : hardware.efficiency;
    const double bytes = time.memory * ceilings.read_bytes_per_second * stated.memory;
    const double ops = time.compute * ceilings.int8_ops_per_second * stated.compute;
    if (bytes > 0 && ops > 0 && time.seconds > 0) {
      points.push_back({.label = std::move(label),
                        .prefill = prefill,
                        .ops_per_byte = ops / bytes,
                        .ops_per_second = ops / time.seconds});
    }
  };
  for (const double rows : {1.0, 16.0, 64.0}) {
    add(fmt::format("decode of {:.0f}", rows), false,
        {.decode_rows = rows, .decode_context = 512, .logits = rows});
  }
  add("prompt of 512", true, {.prompt_rows = 512, .logits = 1});
  return draw_roofline(fmt::format("{} on one {}", best.deployment.model.title, hardware.title),
                       limits, points);
}

std::string usd(bool known, double value) {
  if (!known) return "unknown";
  return value >= 0.00995 || value <= 0 ? fmt::format("{:.2f}", value)
                                        : fmt::format("{:.1g}", value);
}

// Kept on one line, but for how many devices are divided.
std::string placement_cell(const Deployment& deployment) {
  const std::string text = placement_text(deployment);
  const size_t how = text.find(" (");
  if (how == std::string::npos) return svg::escaped(text);
  return fmt::format("{}<br>{}", svg::escaped(text.substr(0, how)),
                     svg::escaped(text.substr(how + 1)));
}

std::string quality_text(const std::optional<Quality>& quality) {
  if (!quality) return "unknown";
  std::string how = "a claim";
  if (quality->measured) {
    how = fmt::format("measured {}{}{}", quality->date, quality->precision.empty() ? "" : " at ",
                      quality->precision);
  }
  return fmt::format("{:.1f} ({}, {})", quality->score, svg::escaped(quality->benchmark),
                     svg::escaped(how));
}

std::string ranking_table(std::span<const Ranked> rows) {
  std::string out =
      "<div class=\"scroll\"><table><thead><tr><th "
      "class=\"n\">#</th><th>model</th><th>hardware</th><th "
      "class=\"n\">GB a device</th><th class=\"n\">first token, ms (p50, p90)</th><th "
      "class=\"n\">between "
      "tokens, ms (p50, p90)</th><th class=\"n\">tokens/s</th><th class=\"n\">busy</th><th "
      "class=\"n\">W</th><th class=\"n\">$ an hour</th><th class=\"n\">$ a million "
      "requests</th><th>quality"
      "</th><th>bound by</th><th>from</th></tr></thead><tbody>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    const Ranked& row = rows[i];
    const Prediction& p = row.prediction;
    const std::string quality = quality_text(row.quality);
    out += fmt::format(
        "<tr><td class=\"n\">{}</td><td class=\"k\">{} {}</td><td class=\"k\">{}</td><td "
        "class=\"n\">{:.1f}</td><td "
        "class=\"n\">{:.0f}, {:.0f}</td><td class=\"n\">{:.1f}, {:.1f}</td><td "
        "class=\"n\">{:.0f}</td><td "
        "class=\"n\">{:.0f}%</td><td class=\"n\">{:.0f}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        i + 1, svg::escaped(row.deployment.model.title),
        svg::escaped(row.deployment.model.precision), placement_cell(row.deployment),
        p.memory.total() / 1e9, 1000 * p.ttft_seconds.p50, 1000 * p.ttft_seconds.p90,
        1000 * p.itl_seconds.p50, 1000 * p.itl_seconds.p90, p.output_tokens_per_second,
        100 * p.utilisation, p.watts, usd(row.cost_known, p.usd_per_hour),
        usd(row.cost_known, p.usd_per_million_requests), quality, name(p.step.bound),
        p.simulated ? "simulation" : "formula");
  }
  return out + "</tbody></table></div>\n";
}

std::string commands(std::span<const Ranked> rows) {
  std::string out;
  for (const Ranked& row : rows) {
    if (row.command.empty()) continue;
    out += fmt::format("<p>{}:", svg::escaped(label_of(row)));
    for (const std::string& command : row.prepare) {
      out += fmt::format("<br><code>{}</code>", svg::escaped(command));
    }
    out += fmt::format("<br><code>{}</code></p>\n", svg::escaped(row.command));
  }
  return out.empty() ? "<p>This program runs on none of the hardware above today: they are "
                       "calculations.</p>\n"
                     : out;
}

std::string ruled_out_table(std::span<const RuledOut> rows) {
  std::string out =
      "<div "
      "class=\"scroll\"><table><thead><tr><th>model</th><th>hardware</th><th>binds</th><th>why</"
      "th></tr>"
      "</thead><tbody>\n";
  for (const RuledOut& row : rows) {
    out += fmt::format("<tr><td>{} {}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                       svg::escaped(row.deployment.model.title),
                       svg::escaped(row.deployment.model.precision),
                       svg::escaped(placement_text(row.deployment)), svg::escaped(row.constraint),
                       svg::escaped(row.reason));
  }
  return out + "</tbody></table></div>\n";
}

std::string sources(std::span<const Ranked> rows) {
  std::vector<std::string> lines;
  lines.reserve(3 * rows.size());
  for (const Ranked& row : rows) {
    lines.push_back(fmt::format("{}: {}", row.deployment.model.title, row.deployment.model.source));
    lines.push_back(
        fmt::format("{}: {}", row.deployment.hardware.title, row.deployment.hardware.source));
    if (row.quality) {
      lines.push_back(fmt::format("{} of {}: {}", row.quality->benchmark,
                                  row.deployment.model.title, row.quality->source));
    }
  }
  std::ranges::sort(lines);
  const auto [first, last] = std::ranges::unique(lines);
  lines.erase(first, last);
  std::string out = "<ul>\n";
  for (const std::string& line : lines) out += fmt::format("<li>{}</li>\n", svg::escaped(line));
  return out + "</ul>\n";
}

std::string workload_text(const Question& question) {
  const Workload& workload = question.workload;
  const Wishes& wishes = question.wishes;
  std::string text = workload.sessions > 0 ? fmt::format("{} sessions", workload.sessions)
                     : workload.trace.empty()
                         ? fmt::format("{:g} requests a second", workload.requests_per_second)
                         : fmt::format("a trace of {} requests", workload.trace.size());
  if (workload.trace.empty()) {
    text += fmt::format(", prompts of {} and answers of {} tokens", workload.prompt_tokens.text(),
                        workload.output_tokens.text());
  }
  if (wishes.ttft_ms > 0) text += fmt::format("; first token within {:g} ms", wishes.ttft_ms);
  if (wishes.itl_ms > 0) text += fmt::format("; {:g} ms between tokens", wishes.itl_ms);
  if (wishes.ttft_ms > 0 || wishes.itl_ms > 0)
    text += fmt::format(" at percentile {:g}", wishes.percentile);
  if (wishes.usd_per_hour > 0) text += fmt::format("; at most ${:g} an hour", wishes.usd_per_hour);
  if (wishes.on_premises) text += "; on premises";
  return text;
}

}  // namespace

std::string html_report(const Question& question, const Ranking& ranking) {
  const std::span<const Ranked> all(ranking.deployments);
  const auto listed = all.first(std::min(all.size(), kListed));
  const auto drawn = all.first(std::min(all.size(), kDrawn));
  const std::span<const RuledOut> out(ranking.ruled_out);
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" "
      "content=\"width=device-width\">\n<title>Deployments, "
      "ranked</title>\n<style>{}</style>\n</head>\n"
      "<body>\n<h1>Deployments, ranked by {}</h1>\n<p>For {}. {} candidates; {} do as wished, {} "
      "do not.</p>\n",
      kStyle, name(question.by), svg::escaped(workload_text(question)), ranking.candidates,
      all.size(), out.size());
  if (all.empty()) {
    html += "<p>No deployment does all that is wished. Below: what came nearest.</p>\n";
  } else {
    html += ranking_table(listed);
    if (listed.size() < all.size()) {
      html += fmt::format("<p>And {} more.</p>\n", all.size() - listed.size());
    }
    html += fmt::format("<h2>Cost over volume</h2>\n{}", cost_plot(question, drawn));
    html += fmt::format("<h2>Latency over load</h2>\n{}", latency_plot(question, drawn));
    html += fmt::format("<h2>Memory by part</h2>\n{}", memory_plot(drawn));
    html += fmt::format("<h2>Roofline of the first</h2>\n{}", roofline_plot(drawn.front()));
    html += fmt::format("<h2>Commands</h2>\n{}", commands(listed));
  }
  if (!out.empty()) {
    html += fmt::format("<h2>Ruled out</h2>\n{}",
                        ruled_out_table(out.first(std::min(out.size(), kListed))));
  }
  if (!all.empty())
    html += fmt::format("<h2>Where the figures come from</h2>\n{}", sources(listed));
  return html + "</body>\n</html>\n";
}

}  // namespace fathom::plan

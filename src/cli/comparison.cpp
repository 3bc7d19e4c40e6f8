#include "cli/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/median.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

double off(double predicted, double measured) {
  return 100 * (predicted / measured - 1);
}

std::string row_text(const Comparison& row) {
  std::string text = fmt::format("{:<22} {:<22} {:>11.1f} {:>11.1f} {:>8.1f}%", row.model, row.what,
                                 row.predicted, row.measured, 100 * row.error());
  if (row.held_out > 0) text += fmt::format("  {:>7.1f}%", off(row.held_out, row.measured));
  if (row.other_speeds) {
    const OtherSpeeds& other = *row.other_speeds;
    text += fmt::format("  {:>7.1f}% {:>9.1f}% {:>19}", off(other.by_fit, row.measured),
                        off(other.own_speed, row.measured),
                        fmt::format("{:.1f} to {:.1f}", other.faster, other.slower));
  }
  return fmt::format("{}  {}\n", text, row.unit);
}

std::string group_text(const std::vector<Comparison>& rows, const std::string& group) {
  std::vector<double> errors;
  std::vector<double> held_out;
  std::vector<double> own_speed;
  for (const Comparison& row : rows) {
    if (!row.what.starts_with(group)) continue;
    errors.push_back(std::abs(100 * row.error()));
    if (row.held_out > 0) held_out.push_back(std::abs(off(row.held_out, row.measured)));
    if (row.other_speeds) {
      own_speed.push_back(std::abs(off(row.other_speeds->own_speed, row.measured)));
    }
  }
  if (errors.empty()) return "";
  std::string text = fmt::format("{}: median error {:.1f}%, worst {:.1f}%", group, median(errors),
                                 std::ranges::max(errors));
  if (!held_out.empty()) {
    text += fmt::format("; by costs that do not know the model {:.1f}%, {:.1f}%", median(held_out),
                        std::ranges::max(held_out));
  }
  if (!own_speed.empty()) {
    text += fmt::format("; by the speed during the load {:.1f}%, {:.1f}%", median(own_speed),
                        std::ranges::max(own_speed));
  }
  return text + "\n";
}

}  // namespace

std::string comparison_table(const std::vector<Comparison>& rows,
                             const std::vector<std::string>& groups) {
  std::string text = fmt::format("{:<22} {:<22} {:>11} {:>11} {:>9}", "model", "", "predicted",
                                 "measured", "error");
  if (std::ranges::any_of(rows, [](const Comparison& row) { return row.held_out > 0; })) {
    text += "  held out";
  }
  if (std::ranges::any_of(rows,
                          [](const Comparison& row) { return row.other_speeds.has_value(); })) {
    text += fmt::format("  {:>8} {:>10} {:>19}", "by fit", "own speed", "10% faster, slower");
  }
  text += "\n";
  for (const Comparison& row : rows) text += row_text(row);
  for (const std::string& group : groups) text += group_text(rows, group);
  return text;
}

std::string comparison_json(const std::vector<Comparison>& rows) {
  Json list = Json::array();
  for (const Comparison& row : rows) {
    Json one = {{"model", row.model},         {"what", row.what},         {"unit", row.unit},
                {"predicted", row.predicted}, {"measured", row.measured}, {"error", row.error()}};
    if (row.held_out > 0) one["held_out"] = row.held_out;
    if (row.other_speeds) {
      const OtherSpeeds& other = *row.other_speeds;
      one["by_fit"] = other.by_fit;
      one["own_speed"] = other.own_speed;
      one["10_percent_faster"] = other.faster;
      one["10_percent_slower"] = other.slower;
    }
    list.push_back(std::move(one));
  }
  return Json{{"comparison", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace fathom::cli

// What was predicted, beside what was measured: rows, as a table and as JSON. Plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace fathom::cli {

// The same time under load, predicted for other speeds of the machine.
struct OtherSpeeds {
  double by_fit = 0;     // as the costs of the fit say, whatever this machine did a moment ago
  double own_speed = 0;  // by the speed that it turned out to have during the load
  double faster = 0;     // 10% faster than it is predicted with, and slower
  double slower = 0;
};

struct Comparison {
  std::string model;
  std::string what;  // "decode 16", "memory"
  std::string unit;  // "tokens/s", "MB", "ms"
  double predicted = 0;
  double measured = 0;
  // Predicted by costs that were fitted to the other models alone; 0: not done.
  double held_out = 0;
  std::optional<OtherSpeeds> other_speeds = {};

  double error() const { return predicted / measured - 1; }
};

// A table, with the median and the worst error of all whose `what` begins with each of the groups.
std::string comparison_table(const std::vector<Comparison>& rows,
                             const std::vector<std::string>& groups);
std::string comparison_json(const std::vector<Comparison>& rows);

}  // namespace fathom::cli

// fathom plan --fit: what the parts of a step cost on this machine, from runs of `fathom bench`,
// and how well the costs tell the runs again. One thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "models/model.h"
#include "plan/fit.h"
#include "plan/this_machine.h"

namespace fathom::cli {

struct FitFlags {
  std::vector<std::string> files;  // of fathom bench --json; empty: runs are made here
  bool json = false;
};

// Fits, prints predicted beside measured speeds, and keeps the fit for later plans.
Result<int> fit_plan(const FitFlags& flags);

// Where measurements of this machine are kept, in the user's cache.
Result<std::filesystem::path> measurements_folder();

// Predicted beside measured.
struct Comparison {
  std::string model;
  std::string what;  // "decode 16", "memory"
  std::string unit;  // "tokens/s", "MB", "ms"
  double predicted = 0;
  double measured = 0;
  double held_out =
      0;  // predicted by costs that were fitted to the other models alone; 0: not done

  double error() const { return predicted / measured - 1; }
};
// A table, with the median and the worst error of all whose `what` begins with each of the groups.
std::string comparison_table(const std::vector<Comparison>& rows,
                             const std::vector<std::string>& groups);
std::string comparison_json(const std::vector<Comparison>& rows);

// What `fathom bench` measures where it is not told: of a model of that context.
std::vector<plan::BenchLine> usual_bench_lines(int64_t context);
// Fills in the speeds.
Status measure_lines(std::vector<plan::BenchLine>& lines, LanguageModel& model);
// Prediction by costs, in tokens a second.
double predicted_speed(const plan::BenchLine& line, const plan::UnitCounter& counter, int64_t chunk,
                       const plan::StepCosts& costs);

}  // namespace fathom::cli

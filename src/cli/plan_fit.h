// fathom plan --fit: what the parts of a step cost on this machine, from runs of `fathom bench`,
// and how well the costs tell the runs again. One thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "cli/comparison.h"
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

// What `fathom bench` measures where it is not told: of a model of that context.
std::vector<plan::BenchLine> usual_bench_lines(int64_t context);
// Fills in the speeds.
Status measure_lines(std::vector<plan::BenchLine>& lines, LanguageModel& model);
// Prediction by costs, in tokens a second.
double predicted_speed(const plan::BenchLine& line, const plan::UnitCounter& counter, int64_t chunk,
                       const plan::StepCosts& costs);

}  // namespace fathom::cli

// Finds what the units of a step cost on a machine (step_costs.h) from steps that were measured
// there: least squares of the errors' logarithms with costs of at least 0 (Lawson and Hanson 1974),
// in which outliers count less (Huber 1964), and costs that no measurement tells stay near what the
// ceilings make likely. Pure but for read_fit and write_fit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/model_facts.h"
#include "plan/step_costs.h"

namespace fathom::plan {

struct ThisMachine;

// A line of `fathom bench`.
struct BenchLine {
  bool prefill = false;
  int64_t tokens = 0;  // of the prompt; decode: steps
  int64_t batch = 1;
  int64_t context = 0;  // in the cache of each sequence at the beginning
  double tokens_per_second = 0;

  std::string label() const;  // "decode 16 at 1024"
};

// The steps that a line consists of, and how often each is taken.
std::vector<StepWork> steps_of(const BenchLine& line, int64_t chunk);
// All of them together, for one prompt or one step of decoding.
UnitCounts units_of(const BenchLine& line, const UnitCounter& counter, int64_t chunk);
double measured_seconds(const BenchLine& line);

struct FitSample {
  UnitCounts units{};
  double seconds = 0;
};
// Fails where there are too few samples to tell anything.
Result<StepCosts> fit_costs(const std::vector<FitSample>& samples, const StepCosts& likely);

// A JSON object that `fathom bench --json` printed.
struct BenchRun {
  std::string model = {};  // a file or folder
  std::string shape = {};  // or a shape
  std::string kernels = {};
  int threads = 0;
  std::string cache = {};  // "f16"
  std::vector<BenchLine> lines = {};
};
Result<std::vector<BenchRun>> parse_bench_runs(std::string_view text, std::string_view file);
// One run for each model, kernels, threads and cache, in the order of their first: of lines that
// were measured several times the median speed, because other programs slow some of them.
std::vector<BenchRun> merge_runs(const std::vector<BenchRun>& runs);

struct KeptFit {
  StepCosts costs;
  std::string date;
};
// Nothing where there is none, or it is of another machine or version of this program.
std::optional<KeptFit> read_fit(const std::filesystem::path& file, const ThisMachine& machine);
Status write_fit(const std::filesystem::path& file, const ThisMachine& machine,
                 const StepCosts& costs);

}  // namespace fathom::plan

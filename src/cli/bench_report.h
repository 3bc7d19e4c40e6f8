// What fathom bench prints: a table line by line as results come, or one JSON object at the end.
// Each speed stands beside this machine's ceiling for such a step. One thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/machine_limits.h"
#include "models/model.h"
#include "models/step_cost.h"

namespace fathom::cli {

struct BenchResult {
  std::string_view phase;  // "prefill" or "decode"
  int64_t tokens = 0;      // of the prompt; decode: steps
  int64_t batch = 1;
  int64_t context = 0;  // in the cache of each sequence at the beginning
  double tokens_per_second = 0;
  // What a step of this kind costs at the least: decode in the middle of the steps.
  StepCost cost;
  int64_t tokens_per_step = 1;  // of all sequences together
  // The same with so many LoRA adapters of that rank among the sequences; 0: not measured.
  int64_t adapters = 0;
  int64_t adapter_rank = 0;
  double adapted_tokens_per_second = 0;

  // The share of the speed that they take.
  double adapter_cost() const { return 1 - adapted_tokens_per_second / tokens_per_second; }
};

class BenchReport {
 public:
  // shape: of a model that is on no disk; empty: it was loaded from `path`.
  BenchReport(bool json, const LanguageModel& model, Kernels& kernels, const MachineLimits& limits,
              const std::string& path, const std::string& shape);

  void add(const BenchResult& result);
  void end() const;

  const std::string& title() const { return title_; }
  const std::vector<BenchResult>& results() const { return results_; }

 private:
  double share_of_limit(const BenchResult& result) const;

  bool json_;
  MachineLimits limits_;
  std::string title_;
  nlohmann::ordered_json machine_;
  nlohmann::ordered_json model_;
  std::vector<BenchResult> results_;
};

}  // namespace fathom::cli

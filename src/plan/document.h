// The claims of the overview of DeepSeek models (2025-09-17) that this product starts from, each
// beside what the planner predicts for real checkpoints, what was measured, and a verdict.
// Predictions are computed when asked for; only the claims themselves and the measurements of docs/
// are written down. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::plan {

enum class Verdict { kHolds, kUnderCondition, kDoesNotHold };
std::string_view name(Verdict verdict);  // "holds", "holds if", "does not hold"

struct Claim {
  std::string table = {};      // "latency", "memory", "throughput", "serving", "cost"
  std::string subject = {};    // "V1", "Lite", ...
  std::string claimed = {};    // "128 ms"
  std::string predicted = {};  // for a real checkpoint on hardware of the catalogue
  std::string measured = {};   // with where and on what; empty: not measured
  Verdict verdict = Verdict::kDoesNotHold;
  std::string why = {};  // the condition, or what is wrong
};

// The cost claim in numbers: US dollars for a million requests.
struct CostClaim {
  double v1_usd = 0;
  double lite_usd = 0;
  std::optional<double> break_even;  // requests, at the document's own prices; nothing: none
  double lite_fixed_usd = 0;         // that makes both cost the same at 1.5 million requests
  double energy_price = 0;           // US dollars per kWh, above which a request costs less on V1
  double v1_fixed_usd = 0;  // with energy at `dear_energy`: V1 is cheaper above 1.5 million
  double dear_energy = 0;
  double tokens_per_request = 0;  // that V1's throughput leaves for each of those requests
};

struct DocumentReport {
  std::vector<Claim> claims;
  CostClaim cost;
};

// Fails only where the catalogues lack what the document needs.
Result<DocumentReport> compare_document();

CostClaim cost_claim();

}  // namespace fathom::plan

// What is asked of a deployment: how many requests come, how long they are, and what its user wants
// of it. Plain data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "loadtest/lengths.h"

namespace fathom::plan {

// One request of a trace.
struct PastRequest {
  double at = 0;  // seconds after the first
  int64_t prompt_tokens = 0;
  int64_t output_tokens = 0;
};

struct Workload {
  // Exactly one of the three.
  double requests_per_second = 0;   // Poisson
  int64_t sessions = 0;             // closed loop: each asks, reads and asks again
  std::vector<PastRequest> trace;   // in the order of `at`
  loadtest::Lengths prompt_tokens;  // not with a trace
  loadtest::Lengths output_tokens;
  int64_t shared_prefix_tokens = 0;  // of every prompt, found in the prefix cache
  uint64_t seed = 0;
};

// What it must keep; 0 or nothing: not asked for.
struct Wishes {
  double ttft_ms = 0;  // time to first token, and between two tokens, at `percentile`
  double itl_ms = 0;
  double percentile = 90;
  int64_t context = 4096;
  std::optional<double> least_quality;  // 0 to 100, as the quality database has it
  std::string modality = "text";
  bool on_premises = false;
  double usd_per_hour = 0;  // budget of all devices together
};

// A trace as `fathom loadtest` reads it ({"at", "prompt_words"|"prompt", "max_tokens"}) or with
// exact counts
// ({"at", "prompt_tokens", "output_tokens"}): JSON lines. Gaps in `at`, times that fall, other
// fields: errors with the line.
Result<std::vector<PastRequest>> parse_past_requests(std::string_view text, std::string_view file);
// Seconds in which none came, the most between two of them.
double longest_gap(const std::vector<PastRequest>& requests);

}  // namespace fathom::plan

// What is asked: the text of each request and how long its answer may be. Request `index` is the
// same for the same seed, whichever session asks it and whenever.
//
// Prompts differ from their first words on, so that a server's prefix cache has nothing to reuse
// but what is meant to be shared (a chat template, a system prompt).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "loadtest/lengths.h"

namespace fathom::loadtest {

struct Ask {
  std::string system;  // empty: none
  std::string prompt;
  int64_t max_tokens = 0;
};

// A line of a trace. Words of a prompt that is not given are made up.
struct TraceEntry {
  std::optional<double> at;  // seconds after the start
  std::string prompt;
  int64_t prompt_words = 0;  // 0: the prompt is given
  int64_t max_tokens = 0;
};

// JSON lines: {"prompt": TEXT or "prompt_words": N, "max_tokens": N, "at": SECONDS}; `at` may be
// left out of all lines, or of none, and must not fall. Empty lines do not count. `what` names the
// file in errors.
Result<std::vector<TraceEntry>> parse_trace(std::string_view text, std::string_view what);

struct WorkloadOptions {
  Lengths prompt_words = {};
  Lengths output_tokens = {};
  int64_t system_words = 0;  // of a system prompt that all requests share
  uint64_t seed = 0;
};

class Workload {
 public:
  explicit Workload(WorkloadOptions options);
  // Asks what the trace says, line by line, and again from its beginning after its end.
  Workload(WorkloadOptions options, std::vector<TraceEntry> trace);

  Ask ask(uint64_t index) const;
  const std::vector<TraceEntry>& trace() const { return trace_; }
  // Random numbers of their own for everything else that needs some.
  Random random(uint64_t stream) const;

 private:
  std::string prompt(uint64_t index, int64_t words, Random& random) const;

  WorkloadOptions options_;
  std::vector<TraceEntry> trace_;
  std::string system_;
};

}  // namespace fathom::loadtest

// What an answer cost: as JSON for programs, as a line for people.
#pragma once

#include <cstdint>
#include <string>

#include "fathom/fathom.h"

namespace fathom::cli {

struct AnswerReport {
  const Answer& answer;
  const ModelInfo& model;
  uint64_t seed = 0;
  double load_seconds = 0;
  int64_t context = 0;
};

int64_t peak_memory_bytes();  // of this process, weights included

// indent < 0: on one line.
std::string json_text(const AnswerReport& report, int indent);
std::string stats_line(const Answer& answer);

}  // namespace fathom::cli

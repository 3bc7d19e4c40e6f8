// Questions to calibrate a route with, from a JSONL file: one object a line,
//
//   {"prompt": "What is 2 + 2?", "answer": "4"}
//   {"messages": [{"role": "user", "content": "..."}], "answer": ["four", "4"]}
//   {"prompt": "Write a poem.", "preferred": "v1"}          ("lite", "v1" or "tie")
//
// with an answer to score both models against, or with the model whose answer people preferred.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fathom/fathom.h"

namespace fathom::route {

enum class Preferred : uint8_t { kLite, kV1, kTie };

struct RouteQuestion {
  std::vector<Message> messages;
  std::vector<std::string> answers;    // any of them is right; empty with `preferred`
  std::optional<Preferred> preferred;  // exactly one of the two is there
};

// file: what errors call it; they name the line. Empty lines do not count.
Result<std::vector<RouteQuestion>> parse_questions(std::string_view jsonl, std::string_view file);

enum class Scoring : uint8_t {
  kExact,     // 1 where the texts are equal, else 0
  kContains,  // 1 where the right answer stands in the given one, as whole words
  kF1,        // overlap of words (Rajpurkar et al. 2016)
};

// The best over the right answers, 0 to 1. Case, punctuation, English articles and spaces do not
// count, as in SQuAD's own evaluation.
double score(Scoring scoring, std::string_view given, const std::vector<std::string>& right);

}  // namespace fathom::route

// Which of two models answers: the small one (Lite), or the large one (V1) where rules say so or
// where Lite's own answer shows that it is not sure. A cascade in the sense of FrugalGPT (Chen,
// Zaharia and Zou 2023), judged by what Lite's distribution says of its first tokens or of its
// whole answer.
//
// A policy is a JSON file; `fathom route calibrate` writes it:
//
//   {"lite": "lite", "v1": "v1", "judge": "first_tokens", "tokens": 16,
//    "confidence": {"bias": 0.9, "mean_logprob": 2.1, "mean_entropy": -0.3}, "threshold": 0.62,
//    "rules": {"prompt_tokens": 4000, "tools": true, "classes": ["finance"]}}
//
// Everything here is a value or a pure function, for any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::route {

// What Lite's distribution said of the tokens that it drew: natural logarithms, nats.
struct Evidence {
  int64_t tokens = 0;
  double mean_logprob = 0;  // of the tokens drawn, <= 0
  double mean_entropy = 0;  // of the distributions they were drawn from, >= 0
};

// The probability that Lite's answer is good enough, as a logistic function of the evidence.
struct Logistic {
  double bias = 0;
  double mean_logprob = 0;
  double mean_entropy = 0;

  double probability(const Evidence& evidence) const;
};

// Each sends a request to V1 before Lite is asked.
struct Rules {
  int64_t prompt_tokens = 0;              // prompts of at least as many tokens of Lite's; 0: none
  bool tools = false;                     // requests with tools
  std::vector<std::string> classes = {};  // requests that call themselves one of these
};

enum class Judge : uint8_t {
  kFirstTokens,  // Lite's answer is shown as soon as its first tokens convince
  kWholeAnswer,  // nothing is shown before Lite has said all
};

struct Policy {
  std::string lite = "lite";
  std::string v1 = "v1";
  Judge judge = Judge::kFirstTokens;
  int64_t tokens = 16;                      // with kFirstTokens: how many
  std::optional<Logistic> confidence = {};  // none: not calibrated, see confidence_in()
  double threshold = 0.5;                   // below, V1 answers
  Rules rules = {};
};

// file: what errors call it.
Result<Policy> parse_policy(std::string_view json, std::string_view file);
std::string to_json(const Policy& policy);

// What the rules need to know of a request.
struct Question {
  int64_t prompt_tokens = 0;
  bool tools = false;
  std::string request_class = {};  // may be empty
};
// The rule that sends it to V1: "length", "tools", "class"; empty: none does.
std::string rule_for(const Rules& rules, const Question& question);

// 0 to 1. Without calibration: the geometric mean of the tokens' probabilities, which orders
// answers but is no probability of being right.
double confidence_in(const Policy& policy, const Evidence& evidence);

}  // namespace fathom::route

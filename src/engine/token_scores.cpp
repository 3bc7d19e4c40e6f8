#include "engine/token_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/softmax.h"

namespace fathom {

ScoredToken score_token(std::span<const float> logits, int32_t token, int32_t alternatives) {
  const float best = *std::max_element(logits.begin(), logits.end());
  const double total = static_cast<double>(best) + std::log(exponentiate(logits, best, 1.0F, {}));
  const auto logprob = [&](int32_t t) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(t)]) - total);
  };

  ScoredToken scored{.token = token, .logprob = logprob(token), .top = {}};
  if (alternatives <= 0) return scored;
  const auto better = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)];
    const float y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  // The few best so far, in order; nearly all tokens fail at the last of them.
  const auto kept =
      static_cast<size_t>(std::min<int64_t>(alternatives, static_cast<int64_t>(logits.size())));
  std::vector<int32_t> top;
  float threshold = -std::numeric_limits<float>::infinity();
  for (size_t i = find_above(logits, 0, threshold); i < logits.size();
       i = find_above(logits, i + 1, threshold)) {
    const auto t = static_cast<int32_t>(i);
    if (top.size() == kept) top.pop_back();
    top.insert(std::upper_bound(top.begin(), top.end(), t, better), t);
    // Later tokens with the logit of the last rank behind it.
    if (top.size() == kept) threshold = logits[static_cast<size_t>(top.back())];
  }
  for (const int32_t t : top) scored.top.push_back({.token = t, .logprob = logprob(t)});
  return scored;
}

// With weights e^(l - best) that sum to S: log S - sum of weight (l - best) / S.
float entropy_of(std::span<const float> logits) {
  thread_local std::vector<float> weights;
  weights.resize(logits.size());
  const float best = *std::max_element(logits.begin(), logits.end());
  const double total = exponentiate(logits, best, 1.0F, weights);
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    // A logit of minus infinity has no weight, and infinity times nothing is not a number.
    if (weights[i] > 0) sum += static_cast<double>(weights[i] * (logits[i] - best));
  }
  return static_cast<float>(std::max(0.0, std::log(total) - sum / total));
}

}  // namespace fathom

#include "engine/token_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace fathom {

ScoredToken score_token(std::span<const float> logits, int32_t token, int32_t alternatives) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - best));
  const double total = static_cast<double>(best) + std::log(sum);
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
  for (int32_t t = 0; t < static_cast<int32_t>(logits.size()); ++t) {
    if (top.size() == kept && !better(t, top.back())) continue;
    if (top.size() == kept) top.pop_back();
    top.insert(std::upper_bound(top.begin(), top.end(), t, better), t);
  }
  for (const int32_t t : top) scored.top.push_back({.token = t, .logprob = logprob(t)});
  return scored;
}

bool has_nan(std::span<const float> logits) {
  // Whole blocks without a branch, which compilers turn into vectors.
  constexpr size_t kBlock = 256;
  size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    int nan = 0;
    for (size_t j = i; j < i + kBlock; ++j) nan |= static_cast<int>(logits[j] != logits[j]);
    if (nan != 0) return true;
  }
  return std::any_of(logits.begin() + static_cast<std::ptrdiff_t>(i), logits.end(),
                     [](float x) { return std::isnan(x); });
}

}  // namespace fathom

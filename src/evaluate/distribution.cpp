#include "evaluate/distribution.h"

#include <algorithm>
#include <cmath>

namespace fathom {

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  if (!std::isfinite(largest)) return static_cast<double>(largest);
  double sum = 0;
  for (const float x : logits) sum += static_cast<double>(std::exp(x - largest));
  return static_cast<double>(largest) + std::log(sum);
}

double kl_divergence(std::span<const float> p, std::span<const float> q) {
  const double p_norm = log_sum_exp(p);
  const double q_norm = log_sum_exp(q);
  const auto p_shift = static_cast<float>(p_norm);
  double weighted = 0;  // sum of p * (p's logit - q's)
  double total = 0;     // of p, which rounding of the shift keeps from being 1
  for (size_t i = 0; i < p.size(); ++i) {
    const auto probability = static_cast<double>(std::exp(p[i] - p_shift));
    if (probability == 0) continue;
    weighted += probability * (static_cast<double>(p[i]) - static_cast<double>(q[i]));
    total += probability;
  }
  return weighted / total - (p_norm - q_norm);
}

int64_t most_likely(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

}  // namespace fathom

#include "evaluate/distribution.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/softmax.h"

namespace fathom {

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  if (!std::isfinite(largest)) return static_cast<double>(largest);
  return static_cast<double>(largest) + std::log(exponentiate(logits, largest, 1.0F, {}));
}

double kl_divergence(std::span<const float> p, std::span<const float> q) {
  const float largest = *std::max_element(p.begin(), p.end());
  std::vector<float> weights(p.size());
  const double total = exponentiate(p, largest, 1.0F, weights);
  double weighted = 0;  // sum of p * (p's logit - q's), not normalised
  for (size_t i = 0; i < p.size(); ++i) {
    if (weights[i] == 0) continue;
    weighted +=
        static_cast<double>(weights[i]) * (static_cast<double>(p[i]) - static_cast<double>(q[i]));
  }
  return weighted / total - (static_cast<double>(largest) + std::log(total) - log_sum_exp(q));
}

int64_t most_likely(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

}  // namespace fathom

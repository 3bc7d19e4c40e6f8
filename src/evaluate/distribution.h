// One row of logits as a probability distribution: what the measures below need of it, in nats.
// Sums are in double, so that a vocabulary of 150k adds no error of its own.
#pragma once

#include <cstdint>
#include <span>

namespace fathom {

// log(sum(exp(logits))). Logits of -infinity have no probability; all-NaN input gives NaN.
double log_sum_exp(std::span<const float> logits);

// Sum over the vocabulary of p * (log p - log q), p and q given by their logits. At least 0 up to
// rounding; infinite where q excludes what p allows.
double kl_divergence(std::span<const float> p, std::span<const float> q);

// The first of the largest logits.
int64_t most_likely(std::span<const float> logits);

}  // namespace fathom

// Passes over a whole vocabulary of logits, in single precision and without branches, so that the
// compiler makes vectors of them: with hundreds of answers at once, they decide what drawing costs.
#pragma once

#include <cstddef>
#include <span>

namespace fathom {

// Whether any of the values is not a number.
bool has_nan(std::span<const float> values);

// weights[i] = exp((logits[i] - best) * scale), to about 1e-7 relative; 0 where the logit is NaN or
// the weight below 1e-37. weights has the size of logits and may be empty. Returns their sum.
double exponentiate(std::span<const float> logits, float best, float scale,
                    std::span<float> weights);

// The first place at or after `from` whose value is above the threshold; the size if there is none.
size_t find_above(std::span<const float> values, size_t from, float threshold);

}  // namespace fathom

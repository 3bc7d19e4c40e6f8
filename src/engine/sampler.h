// Draws tokens from logits as SamplingOptions says (fathom/sampling.h). One sampler belongs to one
// sequence and one thread; after reserve-sized first use it allocates nothing.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"
#include "fathom/sampling.h"

namespace fathom {

// Rejects what makes no sense (negative temperature, top_p outside (0, 1], NaN), naming the option.
Status validate(const SamplingOptions& options);

class Sampler {
 public:
  // options must be valid. prompt: what repeat_penalty counts as seen beside the answer.
  Sampler(const SamplingOptions& options, std::span<const int32_t> prompt);

  // Draws one token from logits[vocab]; the logits are not changed. The token counts as said.
  int32_t sample(std::span<const float> logits);

  uint64_t seed() const { return seed_; }

 private:
  struct Candidate {
    int32_t token;
    float logit;
  };

  SamplingOptions options_;
  uint64_t seed_;
  std::mt19937_64 random_;
  std::vector<int32_t> history_;  // prompt and answer
  size_t answer_begin_;           // where the answer starts in history_
  std::vector<Candidate> candidates_;
};

}  // namespace fathom

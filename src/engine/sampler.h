// Draws tokens from logits as SamplingOptions says (fathom/sampling.h). One sampler belongs to one
// sequence and one thread at a time. What is as large as the vocabulary and only needed during a
// draw belongs to the thread, so that a hundred sequences do not hold it a hundred times; after a
// thread's first draw nothing is allocated.
//
// The draw is exact: no cut other than those asked for. A vocabulary is never sorted whole; top-k
// and top-p select what they keep. Equal logits rank by token id, so a seed means the same tokens
// everywhere. Logits that are NaN or -infinity are never drawn, unless there are no others.
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

struct TokenProbability {
  int32_t token;
  double probability;
};

class Sampler {
 public:
  // options must be valid. prompt: what repeat_penalty counts as seen beside the answer.
  Sampler(const SamplingOptions& options, std::span<const int32_t> prompt);

  // Draws one token from logits[vocab]; the logits are not changed. The token counts as said.
  // allowed: if not empty, only tokens whose bit is set are drawn (bit i % 32 of word i / 32 is
  // token i); at least one is.
  int32_t sample(std::span<const float> logits, std::span<const uint32_t> allowed = {});

  // The parts of sample(), for those who draw in another way (engine/speculation).
  // What the next token is drawn from: each token that may be drawn, once; the sum is 1. Nothing
  // counts as said. Valid until the next call.
  std::span<const TokenProbability> distribution(std::span<const float> logits);
  double uniform();         // [0, 1), from this sampler's stream
  void say(int32_t token);  // counts as said

  uint64_t seed() const { return seed_; }

 private:
  struct Candidate {
    int32_t token;
    float logit;
    double weight;  // probability, not normalised: 1 for the best token
  };
  // Of one draw.
  struct Scratch {
    std::vector<float> penalized;  // [vocab]
    std::vector<float> allowed;    // [vocab], -infinity where a token is not allowed
    std::vector<float> weights;    // [vocab], as candidates' weights
    std::vector<Candidate> candidates;
  };
  struct Uses {
    int32_t in_window = 0;  // of repeat_penalty
    int32_t in_answer = 0;
    bool in_seen = false;
  };

  bool repeats_matter() const;
  bool penalties_matter() const;
  void prepare(size_t vocab);
  void see(int32_t token, bool in_answer);
  static Scratch& scratch_of_thread();
  void choose_candidates(std::span<const float> logits, std::span<const uint32_t> allowed,
                         Scratch& scratch);
  static std::span<const float> forbid(std::span<const float> logits,
                                       std::span<const uint32_t> allowed, Scratch& scratch);
  std::span<const float> penalize(std::span<const float> logits, Scratch& scratch) const;
  void select_candidates(std::span<const float> logits, Scratch& scratch);
  void select_from_all(std::span<const float> logits, Scratch& scratch);
  void weigh(std::span<Candidate> candidates);
  double least_weight() const;
  void cut(std::vector<Candidate>& candidates) const;
  int32_t draw(std::span<const Candidate> candidates);

  SamplingOptions options_;
  uint64_t seed_;
  std::mt19937_64 random_;

  std::vector<int32_t> prompt_;  // until the first sample tells the size of the vocabulary
  std::vector<int32_t> window_;  // a ring of the last penalty_window tokens; empty if it is -1
  size_t window_next_ = 0;
  std::vector<Uses> uses_;     // [vocab]
  std::vector<int32_t> seen_;  // tokens that have uses, each once

  std::vector<TokenProbability> distribution_;
  size_t considered_ = 0;    // tokens before top-p and min-p,
  double total_weight_ = 0;  // and their weight
};

}  // namespace fathom

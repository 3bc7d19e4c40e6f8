// Where the tokens come from that a model is asked to check in one step: speculative decoding
// (Leviathan et al. 2023, Chen et al. 2023). A Drafter guesses how one sequence goes on. What it
// guesses never changes what is answered, only how fast: verify.h sees to that.
//
// One drafter belongs to one sequence. It is called by one thread at a time, and by one that may
// call forward() of the sequence's model at that moment.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"

namespace fathom {

struct Draft {
  std::vector<int32_t> tokens;
  // What each token was drawn from, where it was drawn: one a token. Empty where the tokens follow
  // from the sequence without chance.
  std::vector<std::vector<TokenProbability>> distributions;

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  void clear() {
    tokens.clear();
    distributions.clear();
  }
};

class Drafter {
 public:
  virtual ~Drafter() = default;

  // A new answer begins, drawn like this. The sequence may have become another.
  virtual void begin(const SamplingOptions& options) { static_cast<void>(options); }

  // Guesses at most `limit` tokens that follow `tokens`, the whole sequence so far. Fills an empty
  // draft; it stays empty where there is nothing to go by.
  virtual Status propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) = 0;

  // Whether observe() wants to be called.
  virtual bool observes() const { return false; }
  // The model has computed these tokens of the sequence, the first of them at `position`, and they
  // stay in it (rejected drafts are left out). hidden: LanguageModel::hidden_states() of them.
  virtual Status observe(int64_t position, std::span<const int32_t> tokens,
                         std::span<const float> hidden) {
    static_cast<void>(position), static_cast<void>(tokens), static_cast<void>(hidden);
    return {};
  }
};

}  // namespace fathom

// Measures how fast a model computes: prefill of one sequence, and decode of a batch of sequences
// at some depth of context. Runs LanguageModel directly, so that sampling and text cost nothing;
// the tokens are arbitrary. One thread.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/result.h"
#include "models/model.h"

namespace fathom::cli {

class SpeedTest {
 public:
  // The model must outlive it.
  explicit SpeedTest(LanguageModel& model) : model_(model) {}

  // Tokens per second of a prompt of `tokens`; the best of `repeats` runs, or of as many as fit
  // into some seconds, after a short one that warms up.
  Result<double> prefill(int64_t tokens, int repeats);
  // Tokens per second of all `batch` sequences together over `steps` steps, each sequence beginning
  // with `depth` tokens in the cache.
  Result<double> decode(int64_t steps, int64_t batch, int64_t depth);

 private:
  struct Sequence {
    std::vector<int32_t> pages;
    int64_t length = 0;
  };

  std::vector<int32_t> some_tokens(int64_t count);
  void fill(Sequence& sequence, int64_t tokens, BatchSequence::Logits logits, CachePool& pool);
  static void copy_cache(const Sequence& from, Sequence& to, CachePool& pool);
  void step(std::vector<Sequence>& sequences, CachePool& pool);

  LanguageModel& model_;
  std::minstd_rand random_;
};

}  // namespace fathom::cli

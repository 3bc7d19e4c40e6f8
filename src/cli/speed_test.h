// Measures how fast a model computes: prefill of one sequence, and decode of a batch of sequences
// at some depth of context. Runs LanguageModel directly, so that sampling and text cost nothing;
// the tokens are arbitrary. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/model.h"

namespace fathom::cli {

class SpeedTest {
 public:
  // The model must outlive it.
  explicit SpeedTest(LanguageModel& model) : model_(model) {}

  // Both give the median of `repeats` runs, or of as many as fit into some seconds, after a short
  // one that warms up.

  // Tokens per second of a prompt of `tokens`.
  Result<double> prefill(int64_t tokens, int repeats);
  // Tokens per second of all `batch` sequences together over `steps` steps, each sequence beginning
  // with `depth` tokens in the cache.
  Result<double> decode(int64_t steps, int64_t batch, int64_t depth, int repeats);

  // The same without adapters and with them, sequence i having the (i mod N)th of N. A step of the
  // one follows a step of the other, so that whatever else the machine does slows down both.
  struct Adapted {
    double without = 0;  // tokens per second
    double with = 0;
  };
  using Adapters = std::span<const std::shared_ptr<const LoraWeights>>;
  Result<Adapted> decode_adapted(int64_t steps, int64_t batch, int64_t depth, Adapters adapters);

 private:
  struct Sequence {
    std::vector<int32_t> pages;
    int64_t length = 0;
  };

  // Sequences with `depth` tokens each in the cache, and room for `steps` more.
  Result<CachePool> prepare(std::vector<Sequence>& sequences, int64_t steps, int64_t depth);
  std::vector<int32_t> some_tokens(int64_t count);
  void fill(Sequence& sequence, int64_t tokens, BatchSequence::Logits logits, CachePool& pool);
  static void copy_cache(const Sequence& from, Sequence& to, CachePool& pool);
  // Returns the seconds it took.
  double step(std::vector<Sequence>& sequences, CachePool& pool, Adapters adapters = {});

  LanguageModel& model_;
  std::minstd_rand random_;
};

}  // namespace fathom::cli

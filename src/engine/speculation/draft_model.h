// Drafts by a smaller model of the same vocabulary (Leviathan et al. 2023). It keeps a KV cache of
// its own and computes only what its last guesses got wrong or have not seen.
//
// Tokens are drawn as the answer's are, but without its penalties: those belong to the answer's
// sampler, and a draft that does not know them is only accepted less often. With temperature 0 it
// is the draft model's most likely token, without chance.
#pragma once

#include <memory>
#include <optional>

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/speculation/drafter.h"

namespace fathom {

class DraftModel final : public Drafter {
 public:
  // Fails as check_draft_model(). context: the longest sequence; where the draft's own is shorter,
  // it drafts nothing beyond that.
  static Result<std::unique_ptr<Drafter>> make(const Engine& target, std::shared_ptr<Engine> draft,
                                               int64_t context);

  void begin(const SamplingOptions& options) override;
  // Holds the draft engine's `compute` meanwhile.
  Status propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) override;

 private:
  DraftModel(std::shared_ptr<Engine> engine, KvCache cache, int64_t context, int64_t vocab_size);
  // Logits after the last of the tokens, the first of which are in the cache already.
  Result<std::span<const float>> compute(std::span<const int32_t> tokens);

  std::shared_ptr<Engine> engine_;
  KvCache cache_;
  CachedSequence sequence_;
  Batch batch_;
  int64_t context_;
  int64_t vocab_size_;  // that both models share
  std::optional<Sampler> sampler_;
  bool by_chance_ = false;
};

// Fails (kUsage) where `draft` cannot draft for `target`: another vocabulary (compared token by
// token), or the same loaded model.
Status check_draft_model(const Engine& target, const Engine& draft);

// What a draft is drawn with, given what the answer is drawn with: no penalties, random numbers of
// its own.
SamplingOptions draft_sampling(const SamplingOptions& answer);

}  // namespace fathom

// Drafts by the model's own multi-token prediction layer (models/mtp.h; DeepSeek-AI 2024, section
// 5.4.3). The layer sees each token's hidden state together with the next token, so its row for the
// last token can only be computed when the next one is known: hidden states wait for that. It was
// trained to see one token further; further drafts feed it its own output, and are accepted less.
//
// Keeps a KV cache of its own, of one layer. Rotary positions count from the first token it saw,
// which makes no difference to attention; so it can begin in the middle of a sequence.
#pragma once

#include <memory>
#include <optional>

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/speculation/drafter.h"

namespace fathom {

class MtpDrafter final : public Drafter {
 public:
  // Fails if the engine was loaded without the layer. context: the longest sequence.
  static Result<std::unique_ptr<Drafter>> make(Engine& engine, int64_t context);

  void begin(const SamplingOptions& options) override;
  Status propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) override;
  bool observes() const override { return true; }
  Status observe(int64_t position, std::span<const int32_t> tokens,
                 std::span<const float> hidden) override;

 private:
  MtpDrafter(LanguageModel& model, KvCache cache);

  int64_t waiting() const { return static_cast<int64_t>(hidden_.size()) / width_; }
  // The position whose hidden state was not yet seen.
  int64_t next_position() const { return base_ + sequence_.length() + waiting(); }
  void forget_from(int64_t position);
  Result<std::span<const float>> forward(std::span<const int32_t> next,
                                         std::span<const float> hidden, bool logits);
  Status catch_up(int64_t left);

  LanguageModel& model_;
  int64_t width_;
  KvCache cache_;
  CachedSequence sequence_;    // the computed rows, by their next token
  int64_t base_ = 0;           // position of the first
  std::vector<float> hidden_;  // [waiting, width]: of the positions after the computed rows
  std::vector<int32_t> next_;  // the token after each of them, but not after the last
  Batch batch_;
  std::vector<float> previous_;  // of a draft, to go on from
  std::optional<Sampler> sampler_;
  bool by_chance_ = false;
};

}  // namespace fathom

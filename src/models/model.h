// A model ready to compute: packed weights and the order of its layers. forward() turns a batch
// into logits and leaves the new keys and values in the cache.
//
// Weights are immutable after load. A model has one workspace and one Kernels object, so forward()
// is called by one thread at a time (the engine holds the lock).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"
#include "layers/batch.h"
#include "layers/cache.h"
#include "layers/packed_cache.h"

namespace fathom {

struct ModelLoadOptions {
  int64_t max_batch_tokens = 512;  // most rows of one forward(): sizes the workspace
  bool mtp = false;                // also the multi-token prediction layer (DeepSeek-V3)
  std::function<void(double fraction)> on_progress;
  PackedCache* packed_cache = nullptr;       // null: packed weights are not kept
  std::optional<CacheType> cache_type = {};  // of the KV cache; nothing: the kernels' own
};

class LanguageModel {
 public:
  // Makes the model of the checkpoint's family. Both arguments must outlive it.
  static Result<std::unique_ptr<LanguageModel>> load(const Checkpoint& checkpoint, Kernels& kernels,
                                                     const ModelLoadOptions& options = {});
  virtual ~LanguageModel() = default;

  virtual const ModelConfig& config() const = 0;
  virtual CacheLayout cache_layout() const = 0;
  virtual int64_t weight_bytes() const = 0;
  virtual int64_t max_batch_tokens() const = 0;

  // Logits of the rows that asked for them, in order: [rows, vocab_size], valid until the next
  // call. batch.tokens() <= max_batch_tokens; token ids and positions are the caller's to check.
  virtual std::span<const float> forward(const Batch& batch, CachePool& cache) = 0;

  // What the last forward() gave the output head, after the final norm, for all rows of the
  // sequences that asked: [rows, hidden_size], valid until the next call.
  virtual std::span<const float> hidden_states() const = 0;

  // The modules that adapters can change, in the order of their numbers: layers/lora.h.
  virtual std::span<const std::string> lora_sites() const = 0;

  // Multi-token prediction (models/mtp.h), where it was loaded: one token further than forward().
  virtual bool has_mtp() const = 0;
  virtual CacheLayout mtp_cache_layout() const = 0;
  // As forward(), but a row is the token after the one whose hidden state is in `previous`
  // [rows, hidden_size], and the cache is one of mtp_cache_layout(). hidden_states() are then the
  // MTP layer's, to go on from.
  virtual std::span<const float> forward_mtp(const Batch& batch, std::span<const float> previous,
                                             CachePool& cache) = 0;
};

}  // namespace fathom

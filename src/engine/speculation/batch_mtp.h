// Drafts for many sequences by the model's own multi-token prediction layer, as mtp_drafter.h does
// for one: a step of the layer guesses the next token of all. Keeps the layer's keys and values in
// a pool of its own. A sequence of which that has no room, or whose beginning came from the prefix
// cache, is known from where rows of it are computed next.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/speculation/batch_drafter.h"

namespace fathom {

class BatchMtp final : public BatchDrafter {
 public:
  // Fails (kUsage) if the engine was loaded without the layer. pages: of its pool.
  static Result<std::unique_ptr<BatchDrafter>> make(const Engine& engine, int64_t pages);

  double propose(std::span<DraftOrder> orders) override;
  void forget(uint64_t sequence) override { seen_.erase(sequence); }
  bool observes() const override { return true; }
  void observe(uint64_t sequence, int64_t position, std::span<const int32_t> tokens,
               std::span<const float> hidden) override;
  void settle() override;

 private:
  // Row r is of the hidden state at position base + r and of the token after it.
  struct Seen {
    explicit Seen(KvCache& cache) : computed(cache) {}
    CachedSequence computed;    // rows, by their next token
    int64_t base = 0;           // position of the first
    std::vector<float> hidden;  // [waiting, width]: of the positions after the computed rows
    std::vector<int32_t> next;  // the token after each of them, but not after the last
  };
  struct Work {
    DraftOrder* order = nullptr;
    Seen* seen = nullptr;
    int64_t certain = 0;  // rows that are no guesses
  };

  BatchMtp(const Engine& engine, KvCache cache);
  int64_t waiting(const Seen& seen) const { return std::ssize(seen.hidden) / width_; }
  int64_t next_position(const Seen& seen) const {
    return seen.base + seen.computed.length() + waiting(seen);
  }
  void forget_from(Seen& seen, int64_t position) const;
  void compute_waiting(std::span<Seen* const> all);
  bool add(Seen& seen, std::span<const int32_t> next, std::span<const float> hidden, bool logits);
  void guess();

  const Engine& engine_;
  int64_t width_;
  KvCache cache_;
  std::unordered_map<uint64_t, std::unique_ptr<Seen>> seen_;

  // Of the present call.
  std::vector<Work> works_;
  std::vector<Work> batched_;
  std::vector<Seen*> behind_;
  Batch batch_;
  std::vector<float> previous_;  // [rows of batch_, width]
  std::vector<int32_t> next_;
};

}  // namespace fathom

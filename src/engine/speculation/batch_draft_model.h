// Drafts for many sequences by one smaller model of the same vocabulary: one step of it guesses the
// next token of all. Keeps the keys and values of the sequences in a pool of its own; where that is
// full, those go that were not guessed for longest.
//
// A sequence that is new to it, or that has gone on without guesses for long, is read in first, a
// few rows in a step, so that the others hardly wait; until then nothing is guessed for it.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/speculation/batch_drafter.h"

namespace fathom {

class BatchDraftModel final : public BatchDrafter {
 public:
  // `draft` has the target's vocabulary (check_same_vocabulary). pages: of its pool.
  static Result<std::unique_ptr<BatchDrafter>> make(const Engine& target,
                                                    std::shared_ptr<Engine> draft, int64_t pages);

  // Holds the draft engine's `compute` meanwhile.
  double propose(std::span<DraftOrder> orders) override;
  void forget(uint64_t sequence) override { seen_.erase(sequence); }

 private:
  struct Seen {
    explicit Seen(KvCache& cache) : computed(cache) {}
    CachedSequence computed;
    uint64_t used_in = 0;  // the last call that ordered guesses for it
  };
  struct Work {
    DraftOrder* order = nullptr;
    Seen* seen = nullptr;
  };

  BatchDraftModel(std::shared_ptr<Engine> engine, KvCache cache, int64_t vocab_size);
  void sort_out(std::span<DraftOrder> orders);
  bool extend(Seen& seen, std::span<const int32_t> tokens);
  void read_in();
  void guess();

  std::shared_ptr<Engine> engine_;
  KvCache cache_;
  int64_t vocab_size_;  // that both models share
  std::unordered_map<uint64_t, std::unique_ptr<Seen>> seen_;
  uint64_t call_ = 0;

  // Of the present call.
  std::vector<Work> behind_;  // to be read in
  std::vector<Work> ready_;   // to be guessed for
  std::vector<Work> batched_;
  std::vector<int32_t> next_;  // of batched_
  Batch batch_;
};

}  // namespace fathom

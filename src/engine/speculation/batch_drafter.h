// Guesses how many sequences go on that decode together, as a Drafter does for one. A guess is the
// token found most likely, without chance, also where answers are drawn: so what an answer says
// depends on its seed alone, not on how much was guessed in whose company (see verify.h).
//
// Belongs to one ServingEngine and is called on its thread, where forward() of the engine's model
// may be called.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fathom {

struct Engine;

struct DraftOrder {
  uint64_t sequence = 0;
  std::span<const int32_t> tokens;    // the whole sequence so far
  int64_t limit = 0;                  // most tokens to guess, at least one
  std::vector<int32_t> guesses = {};  // filled by propose(); stays empty where there is nothing
};

class BatchDrafter {
 public:
  virtual ~BatchDrafter() = default;

  // Fills the orders. Returns the seconds that guessing took, without what was spent on sequences
  // that it had not seen before.
  virtual double propose(std::span<DraftOrder> orders) = 0;
  // Guessing costs next to nothing, so what there is to guess may be asked before it is decided
  // how much is wanted.
  virtual bool is_free() const { return false; }
  // The sequence has ended.
  virtual void forget(uint64_t sequence) { static_cast<void>(sequence); }

  // Whether observe() wants to be called.
  virtual bool observes() const { return false; }
  // The model has computed these tokens of the sequence, the first of them at `position`, and they
  // stay in it. hidden: LanguageModel::hidden_states() of them.
  virtual void observe(uint64_t sequence, int64_t position, std::span<const int32_t> tokens,
                       std::span<const float> hidden) {
    static_cast<void>(sequence), static_cast<void>(position);
    static_cast<void>(tokens), static_cast<void>(hidden);
  }
  // A step's sequences have been observed, and its hidden states are needed no more.
  virtual void settle() {}
};

// The most likely token of each row of logits [rows, vocab_size of the engine], among the first
// `vocab_size`; -1 where no logit is a number. On all of the engine's threads.
void most_likely_tokens(const Engine& engine, std::span<const float> logits, int64_t vocab_size,
                        std::vector<int32_t>& tokens);

}  // namespace fathom

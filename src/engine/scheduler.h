// Decides, step by step, which tokens of which sequences go through the model next: continuous
// batching with chunked prefill over a paged cache. Pure policy and bookkeeping: no thread, no
// clock, no model. Whoever drives it computes each plan (or pretends to) and tells what was drawn:
//
//   scheduler.add(...);                                       // any number, at any time
//   for (const auto& work : scheduler.plan(limits)) ...       // run the batch
//   scheduler.append(work.id, token) or scheduler.finish(work.id), for each work with `last`
//
// A sequence that decodes may be given guesses of how it goes on before a plan, which are then
// computed with its last token, as far as rows and memory are free; append() says which of them
// were right.
//
// A sequence is the tokens known of it (prompt and answer so far), of which the first are computed,
// their keys and values in pages. Prefill, decode and continuing after a preemption are all the
// same: computing what is known and not yet computed. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/prefix_cache.h"
#include "engine/request.h"

namespace fathom {

using SequenceId = uint64_t;

struct SchedulerOptions {
  int64_t max_running = 256;       // sequences with pages
  int64_t max_batch_tokens = 512;  // rows of one step; at least max_running
  bool prefix_cache = true;        // share equal beginnings, and keep them while there is room
};

struct NewSequence {
  std::vector<int32_t> prompt;
  Priority priority = Priority::kNormal;
  // What every row brings is wanted (log-probabilities, a mean), so nothing is taken from the
  // prefix cache, and steps have at most max_rows of them.
  bool every_row = false;
  int64_t max_rows = 0;  // 0: no bound of its own
  int64_t realm = 0;     // of the prefix cache: sequences share keys and values only within one
};

// A part of a plan. Spans are valid until the next call of the scheduler.
struct ScheduledSequence {
  SequenceId id = 0;
  std::span<const int32_t> tokens;  // to compute now
  int64_t position = 0;             // of the first of them
  std::span<const int32_t> pages;   // with room for them
  bool last = false;                // nothing known remains: the last row tells the next token
  int64_t guesses = 0;              // the last so many of tokens are not known, but guessed
  bool first = false;               // nothing of this sequence was ever computed before
};

// What a step may take on beside the sequences that decode already.
struct StepLimits {
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  int64_t prompt_rows = kNone;  // for prompts, if anybody decodes
  int64_t running = kNone;      // sequences are admitted only while fewer run
};

class Scheduler {
 public:
  // The cache is the scheduler's alone while it lives.
  Scheduler(const SchedulerOptions& options, KvCache& cache);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // The longest sequence, prompt and answer together, that the cache can hold.
  int64_t capacity() const { return cache_.pages() * CachePool::kPageTokens; }
  // The prompt must have at least one token and at most capacity() - 1.
  SequenceId add(NewSequence sequence);

  // What to compute next; empty only if no sequence is left. Sequences that decode come first, one
  // row each, then prompts within the limits. All of a plan is taken as computed, so it must run
  // before any other call.
  const std::vector<ScheduledSequence>& plan(const StepLimits& limits = {});
  int64_t planned_prompt_rows() const { return planned_prompt_rows_; }
  // Sequences that the next plan will have decode, if there is memory.
  int64_t decoding() const;
  // All others: they wait, or their prompt is not all computed.
  int64_t incoming() const { return waiting() + running() - decoding(); }

  // A sequence whose last known token was computed goes on with these, of which all but the last
  // are the first guesses that were computed with it. The other guesses are forgotten.
  void append(SequenceId id, std::span<const int32_t> tokens);
  void append(SequenceId id, int32_t token) { append(id, {&token, 1}); }

  // The sequences that the next plan will have decode, the oldest of the highest class first, with
  // all that is known of each; the spans are valid until the next call of another kind.
  struct Decoding {
    SequenceId id = 0;
    std::span<const int32_t> tokens;
  };
  void list_decoding(std::vector<Decoding>& list) const;
  // How one of them may go on. For the next plan alone.
  void guess(SequenceId id, std::span<const int32_t> tokens);
  // The sequence is over, wherever it is. Its pages are free or the prefix cache's.
  void finish(SequenceId id);

  int64_t waiting() const;
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  // Known tokens that the prefix cache had when the sequence first ran.
  int64_t cached_tokens(SequenceId id) const;
  int64_t preemptions(SequenceId id) const;
  uint64_t preemptions() const { return preemptions_; }
  int64_t pages_used() const;  // by running sequences
  const PrefixCache& prefixes() const { return prefixes_; }

 private:
  struct Sequence;
  using Queue = std::deque<Sequence*>;  // in the order of arrival
  // What a long prompt gets of a step, and would take.
  struct Share {
    Sequence* sequence = nullptr;
    int64_t rows = 0;
    int64_t wanted = 0;
  };

  void plan_decoding();
  void plan_prompts(int64_t budget, int64_t most_running);
  int64_t give(Sequence& sequence, int64_t wanted);
  bool waits_for_older(const Sequence& sequence) const;
  Sequence* next_waiting();
  bool admit(Sequence& sequence, int64_t most_running);
  int64_t guesses_that_fit(const Sequence& sequence) const;
  static void forget_guesses(Sequence& sequence);
  void schedule(Sequence& sequence, int64_t rows);
  void match_prefix(Sequence& sequence);
  void copy_prefix(Sequence& sequence);
  void keep_prefix(Sequence& sequence);
  bool make_room(Sequence& sequence, int64_t rows);
  int64_t rows_that_fit(const Sequence& sequence) const;
  bool preempt_youngest(const Sequence& claimant);
  void preempt(Sequence& sequence);
  void release(Sequence& sequence);

  SchedulerOptions options_;
  KvCache& cache_;
  PrefixCache prefixes_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::array<Queue, 3> waiting_;    // of each class
  std::vector<Sequence*> running_;  // by class, then arrival: the last is preempted first
  std::vector<ScheduledSequence> plan_;
  std::vector<Share> shares_;    // of the plan being made
  int64_t rows_left_ = 0;        // of the plan being made
  int64_t guess_rows_left_ = 0;  // of them, what the sequences that decode leave for guesses
  int64_t planned_prompt_rows_ = 0;
  SequenceId next_id_ = 1;  // ids are in the order of arrival
  uint64_t admissions_ = 0;
  uint64_t preemptions_ = 0;
  uint64_t step_ = 0;
};

}  // namespace fathom

// Answers many requests at once with one model: one thread runs a Scheduler and the model's
// forward(), step by step; requests join and leave at every step (continuous batching).
//
// submit(), cancel() and stats() may be called from any thread, also from a sink; the rest belongs
// to the owner. The model may be used by Sessions at the same time; they take turns step by step.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/step_pacer.h"
#include "engine/turns.h"

namespace fathom {

// What one step computed, and how long its model took.
struct ServedStep {
  int64_t decode_rows = 0;
  int64_t decode_context = 0;  // tokens in the cache, summed over those rows
  int64_t prompt_rows = 0;
  int64_t prompt_context = 0;  // tokens before a prompt's first row here, summed over its rows
  int64_t logits = 0;          // rows whose logits were computed to draw from
  double model_seconds = 0;
};

class StepObserver {
 public:
  virtual ~StepObserver() = default;
  // After each step, on the engine's thread, which it holds up.
  virtual void on_step(const ServedStep& step) = 0;
};

struct ServingOptions {
  int64_t kv_memory = int64_t{1} << 30;  // bytes for keys and values, of running requests and of
                                         // prefixes kept for later ones
  int64_t context = 0;         // most tokens of prompt and answer together; 0: the model's own
  int64_t max_running = 256;   // sequences computed together
  int64_t max_waiting = 1024;  // answers that may wait for their turn: the bound of the queue
  bool prefix_cache = true;    // keep prefixes for later requests
  StepPace pace;               // what readers of running answers may notice of prompts that come in
  // Shared with the other models of this process, so that their steps take turns at the cores
  // instead of fighting for them; null: nobody else computes.
  std::shared_ptr<Turns> turns = {};
  // Tokens that are guessed ahead for sequences that decode, where that pays. What is said stays
  // the same, whatever its seed. A draft model shares kv_memory, and takes its turns with ours.
  Speculation speculation = {};
  StepObserver* observer = nullptr;  // outlives the engine; null: nobody looks
};

// Why submit() did not take a request.
struct Refusal {
  enum class Kind {
    kInvalid,    // the request can never be answered: the message says why
    kQueueFull,  // try again later
    kStopping,   // drain() or stop() was called
  };
  Kind kind = Kind::kInvalid;
  std::string message;
};

// A snapshot. Counters only grow; they count since the start.
struct ServingStats {
  int64_t waiting = 0;  // answers in the queue, those preempted among them
  int64_t running = 0;  // answers in the batch
  // Memory of the KV cache: total = used by running answers + cached for later + free.
  int64_t pages_total = 0;
  int64_t pages_used = 0;
  int64_t pages_cached = 0;
  int64_t pages_touched = 0;  // had keys and values in them once, so that they take memory
  int64_t page_bytes = 0;
  // Of the last step: rows computed (tokens), those that belong to prompts, and its time.
  int64_t step_rows = 0;
  int64_t step_prompt_rows = 0;
  double step_seconds = 0;
  double prompt_rows_per_second = 0;  // recent estimates of what a token of a prompt costs,
  double decode_step_seconds = 0;     // and a step without prompts at the present batch size

  uint64_t requests = 0;  // taken
  uint64_t refusals = 0;  // queue full
  uint64_t answers_ended = 0;
  uint64_t answers_cancelled = 0;
  uint64_t answers_failed = 0;
  uint64_t preemptions = 0;
  uint64_t prompt_tokens = 0;  // of requests whose computation began (once for each answer)
  uint64_t cached_tokens = 0;  // of those, found in the prefix cache: hit rate = cached / prompt
  uint64_t answer_tokens = 0;
  uint64_t computed_tokens = 0;  // rows that went through the model
  uint64_t drafted_tokens = 0;   // guesses that were checked,
  uint64_t accepted_tokens = 0;  // and those of them that were right
  uint64_t evicted_pages = 0;
  uint64_t steps = 0;
  double total_seconds = 0;     // of all steps: model, sampling, and everything between
  double model_seconds = 0;     // in forward()
  double sampling_seconds = 0;  // in drawing tokens and their scores
  double draft_seconds = 0;     // in guessing
};

class ServingEngine {
 public:
  static Result<std::unique_ptr<ServingEngine>> start(std::shared_ptr<Engine> engine,
                                                      const ServingOptions& options = {});
  ~ServingEngine();  // stop()
  ServingEngine(const ServingEngine&) = delete;
  ServingEngine& operator=(const ServingEngine&) = delete;

  std::expected<RequestId, Refusal> submit(Request request);
  // Ends all answers of the request with kCancelled; their memory is free before the next step.
  // Does nothing if it has ended already.
  void cancel(RequestId id);

  ServingStats stats() const;
  int64_t context() const;  // most tokens of a prompt and its answer

  // Takes no more requests and waits until all taken have ended; false if they have not in time.
  bool drain(std::chrono::milliseconds limit);
  // Takes no more requests, cancels all that run or wait, and joins the thread.
  void stop();

 private:
  struct Impl;
  explicit ServingEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom

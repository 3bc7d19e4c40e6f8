// The inside of a ServingEngine: what its thread owns, and what it shares with those who ask.
// serving_engine.cpp is the side that asks, serving_loop.cpp the thread, and serving_step.cpp a
// step of the model.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/generation.h"
#include "engine/kv_cache.h"
#include "engine/scheduler.h"
#include "engine/serving_engine.h"
#include "engine/speculation/batch_policy.h"
#include "engine/speculation/make_speculator.h"
#include "engine/step_pacer.h"
#include "models/step_cost.h"

namespace fathom {

struct ServingEngine::Impl {
  using Clock = std::chrono::steady_clock;
  static double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  }
  static double seconds_since(Clock::time_point from) {
    return seconds_between(from, Clock::now());
  }

  // A request that was taken, until its last answer has ended.
  struct Taken {
    RequestId id = 0;
    Request request;
    Clock::time_point submitted;
    std::vector<SequenceId> sequences;  // of the answers that have not ended
  };
  // A sequence of the scheduler and what grows from it.
  struct Answer {
    Answer(const Engine& engine, Taken& taken_in, int32_t index, int64_t limit)
        : taken(taken_in), generation(engine, taken_in.request, index, limit) {}
    Taken& taken;
    Generation generation;
    AcceptanceRate guessed_right;
    double queued_seconds = 0;
    bool prompt_done = false;
  };
  // The logits or hidden states that one sequence of the batch gets.
  struct Rows {
    Answer* answer = nullptr;
    std::span<const float> logits;
    std::span<const float> hidden_states;
  };

  Impl(std::shared_ptr<Engine> engine_in, const ServingOptions& options_in, KvCache cache_in,
       const SchedulerOptions& scheduling, DraftSetup drafting_in)
      : engine(std::move(engine_in)),
        options(options_in),
        cache(std::move(cache_in)),
        scheduler(scheduling, cache),
        pacer(options_in.pace,
              StepCostModel(*engine->checkpoint, engine->model->cache_layout()).weight_reads()),
        drafting(std::move(drafting_in)) {
    const int64_t own = options.context > 0 ? options.context : engine->info.context;
    context = std::min(own, scheduler.capacity());
    stats.pages_total = cache.pages();
    stats.page_bytes = cache.pool().layout().bytes_per_token() * CachePool::kPageTokens;
  }

  Status check(const Request& request) const;
  void run();
  void begin(std::unique_ptr<Taken> taken);
  void cancel_now(RequestId id);
  void step();
  double guess();
  void compute(const std::vector<ScheduledSequence>& plan);
  void judge_guesses(const ScheduledSequence& scheduled, Answer& answer);
  void observe(const ScheduledSequence& scheduled, const Rows& computed);
  void end_answer(SequenceId id);
  void count_queued();
  void publish();

  std::shared_ptr<Engine> engine;
  ServingOptions options;
  int64_t context = 0;

  // The engine thread's own.
  KvCache cache;
  Scheduler scheduler;
  StepPacer pacer;
  DraftSetup drafting;
  BatchDraftPolicy draft_policy;
  // Of the step that is made: who decodes, and what may be guessed for them.
  std::vector<Scheduler::Decoding> decoding;
  std::vector<DraftOrder> orders;
  std::vector<BatchDraftPolicy::Choice> choices;  // one for each order, at first
  Batch batch;
  std::vector<Rows> rows;
  std::unordered_map<RequestId, std::unique_ptr<Taken>> taken;
  std::unordered_map<SequenceId, std::unique_ptr<Answer>> answers;
  ServingStats stats;
  int64_t requests_ended = 0;  // since the state was last shown

  mutable std::mutex mutex;  // guards all below
  std::condition_variable work;
  std::condition_variable idle;
  std::vector<std::unique_ptr<Taken>> inbox;
  std::vector<RequestId> cancellations;
  bool closed = false;  // takes no more requests
  bool stopping = false;
  RequestId next_id = 1;
  int64_t queued = 0;  // answers in the inbox or waiting in the scheduler
  int64_t open = 0;    // requests that have not ended
  uint64_t accepted = 0;
  uint64_t refused = 0;
  ServingStats published;

  std::thread thread;
};

}  // namespace fathom

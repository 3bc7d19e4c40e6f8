#include "engine/serving_engine.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "engine/generation.h"
#include "engine/kv_cache.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/step_pacer.h"

namespace fathom {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMostAnswers = 128;
constexpr int64_t kMostAlternatives = 20;
// A row whose logits are all wanted costs the output head and vocab_size floats.
constexpr int64_t kRowsWithEveryLogit = 32;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

struct ServingEngine::Impl {
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
       const SchedulerOptions& scheduling)
      : engine(std::move(engine_in)),
        options(options_in),
        cache(std::move(cache_in)),
        scheduler(scheduling, cache),
        pacer(options_in.pace) {
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
  void compute(const std::vector<ScheduledSequence>& plan);
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

Result<std::unique_ptr<ServingEngine>> ServingEngine::start(std::shared_ptr<Engine> engine,
                                                            const ServingOptions& options) {
  const CacheLayout layout = engine->model->cache_layout();
  const int64_t page_bytes = layout.bytes_per_token() * CachePool::kPageTokens;
  const int64_t pages = options.kv_memory / page_bytes;
  if (pages < 2) {
    return fail(
        "{} bytes of memory for keys and values hold less than two pages of {} tokens, of "
        "{} bytes each. Give it more (--kv-memory).",
        options.kv_memory, CachePool::kPageTokens, page_bytes);
  }
  if (!(options.pace.max_stall >= 1) || !(options.pace.target_seconds >= 0)) {
    return usage_error(
        "A step may be made {} times as long by a prompt, and should take {} s; the "
        "first must be at least 1 and the second not negative.",
        options.pace.max_stall, options.pace.target_seconds);
  }
  if (options.max_running < 1 || options.max_waiting < 1 || options.context < 0) {
    return usage_error(
        "At least one sequence must be able to run and to wait, not {} and {}; and "
        "the context must not be negative ({}).",
        options.max_running, options.max_waiting, options.context);
  }
  FATHOM_TRY(KvCache cache, KvCache::make(layout, pages * CachePool::kPageTokens));
  const int64_t most_rows = engine->model->max_batch_tokens();
  const SchedulerOptions scheduling{.max_running = std::min(options.max_running, most_rows),
                                    .max_batch_tokens = most_rows,
                                    .prefix_cache = options.prefix_cache};
  auto impl = std::make_unique<Impl>(std::move(engine), options, std::move(cache), scheduling);
  impl->publish();
  impl->thread = std::thread([impl = impl.get()] { impl->run(); });
  return std::unique_ptr<ServingEngine>(new ServingEngine(std::move(impl)));
}

ServingEngine::ServingEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ServingEngine::~ServingEngine() {
  stop();
}

int64_t ServingEngine::context() const {
  return impl_->context;
}

Status ServingEngine::Impl::check(const Request& request) const {
  FATHOM_CHECK(validate(request.options.sampling));
  if (request.prompt.empty()) return fail("The prompt is empty: there is nothing to continue.");
  FATHOM_CHECK(engine->check_tokens(request.prompt));
  for (const LogitBias& bias : request.options.sampling.logit_bias) {
    FATHOM_CHECK(engine->check_tokens({&bias.token, 1}));
  }
  if (std::ssize(request.prompt) >= context) {
    return fail(
        "The prompt has {} tokens and the context holds {}, with no room for an answer. Shorten "
        "it, or serve with a larger context (--context, --kv-memory).",
        request.prompt.size(), context);
  }
  if (request.answers < 1 || request.answers > kMostAnswers) {
    return fail("{} answers were asked for; it must be 1 to {}.", request.answers, kMostAnswers);
  }
  if (request.logprobs && (*request.logprobs < 0 || *request.logprobs > kMostAlternatives)) {
    return fail("Log-probabilities of {} alternatives were asked for; it must be 0 to {}.",
                *request.logprobs, kMostAlternatives);
  }
  if (request.pooling != Pooling::kNone && (request.answers != 1 || request.score_prompt)) {
    return fail("A request for an embedding has one result and no scores.");
  }
  return {};
}

std::expected<RequestId, Refusal> ServingEngine::submit(Request request) {
  FATHOM_ASSERT(request.sink != nullptr);
  using Kind = Refusal::Kind;
  if (const Status valid = impl_->check(request); !valid) {
    return std::unexpected(Refusal{.kind = Kind::kInvalid, .message = valid.error().message});
  }
  if (request.options.format && !request.constraint) {
    auto compiled = impl_->engine->compile(*request.options.format);
    if (!compiled) {
      return std::unexpected(Refusal{.kind = Kind::kInvalid, .message = compiled.error().message});
    }
    request.constraint = *std::move(compiled);
  }
  const std::lock_guard lock(impl_->mutex);
  if (impl_->closed) {
    return std::unexpected(
        Refusal{.kind = Kind::kStopping, .message = "The server is stopping: it takes no more."});
  }
  // A request with more answers than may wait is taken when nobody else waits.
  if (impl_->queued > 0 && impl_->queued + request.answers > impl_->options.max_waiting) {
    ++impl_->refused;
    return std::unexpected(
        Refusal{.kind = Kind::kQueueFull,
                .message = fmt::format("{} answers wait already, the most that may be {}. Try "
                                       "again later.",
                                       impl_->queued, impl_->options.max_waiting)});
  }
  auto taken = std::make_unique<Impl::Taken>();
  taken->id = impl_->next_id++;
  taken->request = std::move(request);
  taken->submitted = Clock::now();
  const RequestId id = taken->id;
  impl_->queued += taken->request.answers;
  ++impl_->open;
  ++impl_->accepted;
  impl_->inbox.push_back(std::move(taken));
  impl_->work.notify_one();
  return id;
}

void ServingEngine::cancel(RequestId id) {
  const std::lock_guard lock(impl_->mutex);
  impl_->cancellations.push_back(id);
  impl_->work.notify_one();
}

ServingStats ServingEngine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  ServingStats stats = impl_->published;
  stats.waiting = impl_->queued;
  stats.requests = impl_->accepted;
  stats.refusals = impl_->refused;
  return stats;
}

bool ServingEngine::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(impl_->mutex);
  impl_->closed = true;
  return impl_->idle.wait_for(lock, limit, [this] { return impl_->open == 0; });
}

void ServingEngine::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    impl_->stopping = true;
    impl_->work.notify_one();
  }
  if (impl_->thread.joinable()) impl_->thread.join();
}

void ServingEngine::Impl::run() {
  for (bool stop = false; !stop;) {
    std::vector<std::unique_ptr<Taken>> arrived;
    std::vector<RequestId> cancelled;
    {
      std::unique_lock lock(mutex);
      work.wait(lock, [this] {
        return stopping || !answers.empty() || !inbox.empty() || !cancellations.empty();
      });
      arrived.swap(inbox);
      cancelled.swap(cancellations);
      stop = stopping;
    }
    for (auto& request : arrived) begin(std::move(request));
    for (const RequestId id : cancelled) cancel_now(id);
    if (stop) {
      while (!taken.empty()) cancel_now(taken.begin()->first);
    }
    if (!answers.empty()) step();
    publish();
  }
}

void ServingEngine::Impl::begin(std::unique_ptr<Taken> arrived) {
  Taken& request = *arrived;
  taken.emplace(request.id, std::move(arrived));
  const auto& prompt = request.request.prompt;
  const int64_t room = context - std::ssize(prompt);
  const int64_t wanted = request.request.options.max_tokens;
  const int64_t limit = wanted < 0 ? room : std::min(wanted, room);
  for (int32_t i = 0; i < request.request.answers; ++i) {
    const bool scores_prompt = request.request.score_prompt && i == 0;
    const SequenceId id =
        scheduler.add({.prompt = prompt,
                       .priority = request.request.priority,
                       .every_row = scores_prompt || request.request.pooling == Pooling::kMean,
                       .max_rows = scores_prompt ? kRowsWithEveryLogit : 0});
    request.sequences.push_back(id);
    answers.emplace(id, std::make_unique<Answer>(*engine, request, i, limit));
  }
}

void ServingEngine::Impl::cancel_now(RequestId id) {
  const auto found = taken.find(id);
  if (found == taken.end()) return;
  const std::vector<SequenceId> sequences = found->second->sequences;
  for (const SequenceId sequence : sequences) {
    answers.at(sequence)->generation.end(FinishReason::kCancelled);
    end_answer(sequence);
  }
}

void ServingEngine::Impl::step() {
  std::unique_lock<Turns> turn;
  if (options.turns != nullptr) turn = std::unique_lock(*options.turns);
  const std::lock_guard lock(engine->compute);
  const auto begin_time = Clock::now();
  const int64_t decoding = scheduler.decoding();
  const auto& plan = scheduler.plan(pacer.limits(decoding, scheduler.incoming()));
  const int64_t prompt_rows = scheduler.planned_prompt_rows();
  count_queued();
  compute(plan);

  const auto drawn_time = Clock::now();
  std::vector<SequenceId> ended;
  for (size_t i = 0; i < plan.size(); ++i) {
    const ScheduledSequence& work_done = plan[i];
    Answer& answer = *rows[i].answer;
    if (work_done.first) {
      answer.queued_seconds = seconds_between(answer.taken.submitted, begin_time);
    }
    if (work_done.last && !std::exchange(answer.prompt_done, true)) {
      stats.prompt_tokens += answer.taken.request.prompt.size();
      stats.cached_tokens += static_cast<uint64_t>(scheduler.cached_tokens(work_done.id));
    }
    answer.generation.advance(seconds_between(answer.taken.submitted, drawn_time));
    if (answer.generation.ended()) {
      ended.push_back(work_done.id);
    } else if (work_done.last) {
      scheduler.append(work_done.id, answer.generation.token());
    }
  }
  for (const SequenceId id : ended) end_answer(id);

  const double seconds = seconds_between(begin_time, Clock::now());
  pacer.observe(batch.tokens() - prompt_rows, prompt_rows, seconds);
  ++stats.steps;
  stats.total_seconds += seconds;
  stats.step_seconds = seconds;
  stats.step_rows = batch.tokens();
  stats.step_prompt_rows = prompt_rows;
  stats.computed_tokens += static_cast<uint64_t>(stats.step_rows);
  stats.decode_step_seconds = pacer.decode_step_seconds(std::max<int64_t>(decoding, 1));
  const double row = pacer.prompt_row_seconds();
  stats.prompt_rows_per_second = row > 0 ? 1 / row : 0;
}

// Runs the plan and lets every answer draw its token, on all threads.
void ServingEngine::Impl::compute(const std::vector<ScheduledSequence>& plan) {
  using Logits = BatchSequence::Logits;
  batch.sequences.clear();
  rows.clear();
  for (const ScheduledSequence& scheduled : plan) {
    Answer& answer = *answers.at(scheduled.id);
    const Generation& generation = answer.generation;
    const bool hidden = generation.wants_hidden_states();
    const Logits logits = hidden                           ? Logits::kNone
                          : generation.wants_every_logit() ? Logits::kAll
                          : scheduled.last                 ? Logits::kLast
                                                           : Logits::kNone;
    batch.sequences.push_back({.tokens = scheduled.tokens,
                               .position = scheduled.position,
                               .pages = scheduled.pages,
                               .logits = logits,
                               .hidden_states = hidden});
    rows.push_back({.answer = &answer, .logits = {}, .hidden_states = {}});
  }

  const auto begin_time = Clock::now();
  std::span<const float> logits = engine->model->forward(batch, cache.pool());
  std::span<const float> hidden = engine->model->hidden_states();
  const auto computed_time = Clock::now();

  const auto vocab = static_cast<size_t>(engine->info.vocab_size);
  const auto width = static_cast<size_t>(engine->model->config().hidden_size);
  for (size_t i = 0; i < plan.size(); ++i) {
    const BatchSequence& sequence = batch.sequences[i];
    const size_t wanted = sequence.logits == Logits::kAll    ? sequence.tokens.size()
                          : sequence.logits == Logits::kLast ? 1
                                                             : 0;
    rows[i].logits = logits.first(wanted * vocab);
    logits = logits.subspan(wanted * vocab);
    const size_t kept = sequence.hidden_states ? sequence.tokens.size() * width : 0;
    rows[i].hidden_states = hidden.first(kept);
    hidden = hidden.subspan(kept);
  }
  engine->kernels->threads().parallel_for(std::ssize(plan), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      Generation& generation = rows[i].answer->generation;
      const auto count = std::ssize(plan[i].tokens);
      if (generation.wants_hidden_states()) {
        generation.pool(rows[i].hidden_states, plan[i].position, count, plan[i].last);
      } else {
        generation.draw(rows[i].logits, plan[i].position, count, plan[i].last);
      }
    }
  });
  stats.model_seconds += seconds_between(begin_time, computed_time);
  stats.sampling_seconds += seconds_between(computed_time, Clock::now());
}

void ServingEngine::Impl::end_answer(SequenceId id) {
  const auto found = answers.find(id);
  Answer& answer = *found->second;
  Taken& request = answer.taken;
  const Generation& generation = answer.generation;
  stats.answer_tokens += static_cast<uint64_t>(generation.completion_tokens());
  ++(generation.failed()      ? stats.answers_failed
     : generation.cancelled() ? stats.answers_cancelled
                              : stats.answers_ended);
  AnswerEnd end;
  end.cached_tokens = scheduler.cached_tokens(id);
  end.preemptions = scheduler.preemptions(id);
  end.queued_seconds = answer.queued_seconds;
  end.seconds = seconds_between(request.submitted, Clock::now());
  scheduler.finish(id);
  answer.generation.report(std::move(end));
  answers.erase(found);
  std::erase(request.sequences, id);
  if (!request.sequences.empty()) return;
  taken.erase(request.id);
  ++requests_ended;
}

// Before the first token of an answer can be seen: whoever saw it counts on its place in the queue.
void ServingEngine::Impl::count_queued() {
  const std::lock_guard lock(mutex);
  queued = scheduler.waiting();
  for (const auto& request : inbox) queued += request->request.answers;
}

// Shows the state after this step to other threads. Only here does a request stop being open, so
// that who has waited for the last one (drain) finds its tokens counted.
void ServingEngine::Impl::publish() {
  stats.running = scheduler.running();
  stats.pages_cached = scheduler.prefixes().evictable();
  stats.pages_used = scheduler.pages_used();
  stats.preemptions = scheduler.preemptions();
  stats.evicted_pages = static_cast<uint64_t>(scheduler.prefixes().evicted());
  count_queued();
  const std::lock_guard lock(mutex);
  published = stats;
  open -= std::exchange(requests_ended, 0);
  if (open == 0) idle.notify_all();
}

}  // namespace fathom

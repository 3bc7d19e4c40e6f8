#include "engine/serving_engine.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "engine/sampler.h"
#include "engine/serving_impl.h"

namespace fathom {

namespace {

constexpr int64_t kMostAnswers = 128;
constexpr int64_t kMostAlternatives = 20;

}  // namespace

Result<std::unique_ptr<ServingEngine>> ServingEngine::start(std::shared_ptr<Engine> engine,
                                                            const ServingOptions& options) {
  const CacheLayout layout = engine->model->cache_layout();
  FATHOM_TRY(const int64_t draft_bytes, draft_page_bytes(*engine, options.speculation));
  const int64_t page_bytes = layout.bytes_per_token() * CachePool::kPageTokens + draft_bytes;
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
  FATHOM_TRY(DraftSetup drafting, make_batch_drafter(*engine, options.speculation, pages));
  auto impl = std::make_unique<Impl>(std::move(engine), options, std::move(cache), scheduling,
                                     std::move(drafting));
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
      return std::unexpected(
          Refusal{.kind = compiled.error().busy ? Kind::kQueueFull : Kind::kInvalid,
                  .message = compiled.error().message});
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
  taken->submitted = Impl::Clock::now();
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

}  // namespace fathom

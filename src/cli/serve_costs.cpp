#include "cli/serve_costs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <vector>

#include "cli/model_options.h"
#include "engine/serving_engine.h"
#include "plan/deployment.h"

namespace fathom::cli {
namespace {

constexpr int64_t kPromptTokens = 16;
constexpr int64_t kAnswerTokens = 48;
constexpr int kManyAnswers = 32;

// Counts answers that end.
class Finish final : public AnswerSink {
 public:
  void on_chunk(const AnswerChunk& /*chunk*/) override {}
  void on_end(const AnswerEnd& /*end*/) override {
    const std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_one();
  }
  void wait(int answers) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= answers; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int ended_ = 0;
};

// Beside the model's arithmetic, of a step in which `answers` sequences decode.
struct Beside {
  double seconds_per_step = 0;
  double tokens_per_step = 0;
};

Result<Beside> run_answers(ServingEngine& serving, int answers, int64_t prompt_tokens,
                           int64_t answer_tokens) {
  const ServingStats before = serving.stats();
  const auto finish = std::make_shared<Finish>();
  for (int i = 0; i < answers; ++i) {
    Request request;
    request.prompt.assign(static_cast<size_t>(prompt_tokens), 20 + i);
    request.options.max_tokens = answer_tokens;
    request.options.stop_at_eos = false;
    request.sink = finish;
    if (const auto taken = serving.submit(std::move(request)); !taken) {
      return fail("{}", taken.error().message);
    }
  }
  finish->wait(answers);
  const ServingStats after = serving.stats();
  const auto steps = static_cast<double>(after.steps - before.steps);
  return Beside{
      .seconds_per_step = ((after.total_seconds - before.total_seconds) -
                           (after.model_seconds - before.model_seconds)) /
                          steps,
      .tokens_per_step = static_cast<double>(after.answer_tokens - before.answer_tokens) / steps};
}

}  // namespace

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return file ? resident * sysconf(_SC_PAGESIZE) : 0;
}

void ServeCosts::apply(plan::StepCosts& costs) const {
  if (!measured) return;
  costs.serve_step_seconds = step_seconds;
  costs.serve_logit_seconds = logit_seconds;
  costs.program_bytes = program_bytes;
}

std::string ServeCosts::text() const {
  if (!measured) {
    return "What a server costs beside its model was not measured: there is no default model here "
           "(fathom "
           "pull).\n";
  }
  return fmt::format(
      "beside the model: {:.0f} us a step, {:.2f} ns for each logit of a token drawn, {:.0f} MB of "
      "memory\n",
      1e6 * step_seconds, 1e9 * logit_seconds, program_bytes / 1e6);
}

Result<ServeCosts> measure_serve_costs() {
  ServeCosts costs;
  const auto path = find_model(ModelOptions{});
  if (!path) return costs;
  FATHOM_TRY(auto engine, Engine::load(*path, LoadOptions{}));
  FATHOM_TRY(const plan::ModelFacts facts, plan::facts_of(*engine->checkpoint));
  const auto vocab = static_cast<double>(engine->info.vocab_size);
  const int64_t rows = engine->model->max_batch_tokens();
  const CacheType cache = engine->model->cache_layout().type;
  FATHOM_TRY(const auto serving, ServingEngine::start(std::move(engine)));
  FATHOM_CHECK(run_answers(*serving, 1, rows, 4));  // warms up, and steps of the largest size
  FATHOM_TRY(const Beside few, run_answers(*serving, 1, kPromptTokens, kAnswerTokens));
  FATHOM_TRY(const Beside many, run_answers(*serving, kManyAnswers, kPromptTokens, kAnswerTokens));
  const double more = many.tokens_per_step - few.tokens_per_step;
  const double token = std::max(0.0, (many.seconds_per_step - few.seconds_per_step) / more);
  costs.logit_seconds = token / vocab;
  costs.step_seconds = std::max(0.0, few.seconds_per_step - token * few.tokens_per_step);
  plan::Deployment deployment;
  deployment.model = facts;
  deployment.cache = cache;
  deployment.max_batch_tokens = rows;
  deployment.max_running = kManyAnswers;
  deployment.hardware.costs = std::make_shared<const plan::StepCosts>();
  const ServingStats stats = serving->stats();
  const auto cached = static_cast<double>(stats.pages_used + stats.pages_cached) *
                      static_cast<double>(CachePool::kPageTokens);
  costs.program_bytes = std::max(
      0.0, static_cast<double>(resident_bytes()) - plan::memory_of(deployment, cached).total());
  costs.measured = true;
  return costs;
}

}  // namespace fathom::cli

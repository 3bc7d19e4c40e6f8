#include "cli/serve_costs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <vector>

#include "base/median.h"
#include "cli/loopback_server.h"
#include "cli/model_options.h"
#include "engine/engine.h"
#include "engine/serving_engine.h"
#include "plan/deployment.h"

namespace fathom::cli {
namespace {

constexpr int64_t kPromptWords = 16;
constexpr int64_t kAnswerTokens = 48;
constexpr int kManyAnswers = 32;
constexpr int kRepeats = 5;

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// When an answer's first and last token came, and when it ended.
class Reader final : public AnswerSink {
 public:
  void on_chunk(const AnswerChunk& /*chunk*/) override {
    last_ = Clock::now();
    if (chunks_++ == 0) first_ = last_;
  }
  void on_end(const AnswerEnd& /*end*/) override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
  }
  Clock::time_point first() const { return first_; }
  Clock::time_point last() const { return last_; }

 private:
  Clock::time_point first_;
  Clock::time_point last_;
  int64_t chunks_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

// What a reader of one of some answers that begin together sees, in seconds; the mean of all.
struct Seen {
  double first_token = 0;
  double inter_token = 0;
};

Result<Seen> ask_engine(ServingEngine& serving, int answers, int64_t prompt_tokens,
                        int64_t answer_tokens) {
  std::vector<std::shared_ptr<Reader>> readers;
  readers.reserve(static_cast<size_t>(answers));
  const auto start = Clock::now();
  for (int i = 0; i < answers; ++i) {
    readers.push_back(std::make_shared<Reader>());
    Request request;
    request.prompt.assign(static_cast<size_t>(prompt_tokens), 20 + i);
    request.options.max_tokens = answer_tokens;
    request.options.stop_at_eos = false;
    request.sink = readers.back();
    if (const auto taken = serving.submit(std::move(request)); !taken) {
      return fail("{}", taken.error().message);
    }
  }
  Seen seen;
  for (const auto& reader : readers) {
    reader->wait();
    seen.first_token += seconds_between(start, reader->first()) / answers;
    seen.inter_token += seconds_between(reader->first(), reader->last()) /
                        static_cast<double>(answer_tokens - 1) / answers;
  }
  return seen;
}

Result<Seen> ask_server(const LoopbackServer& server, int answers) {
  loadtest::WorkloadOptions lengths;
  FATHOM_TRY(lengths.prompt_words, loadtest::Lengths::parse(fmt::to_string(kPromptWords), "words"));
  FATHOM_TRY(lengths.output_tokens,
             loadtest::Lengths::parse(fmt::to_string(kAnswerTokens), "tokens"));
  static uint64_t seed = 0;  // prompts that nobody has asked before
  lengths.seed = ++seed;
  loadtest::RunOptions run;
  run.sessions = answers;
  run.requests = answers;
  FATHOM_TRY(const loadtest::Summary summary, server.put(run, loadtest::Workload(lengths)));
  return Seen{.first_token = summary.first_token.mean, .inter_token = summary.inter_token.mean};
}

// Side by side, so that what else runs on this machine slows both.
struct Pairs {
  double engine_token = 0;  // medians of the time between tokens
  double server_token = 0;
  double later_first_token = 0;  // of what a server's first token takes longer
};

Result<Pairs> ask_both(ServingEngine& serving, const LoopbackServer& server, int answers,
                       int64_t prompt_tokens) {
  std::vector<double> engine;
  std::vector<double> served;
  std::vector<double> later;
  for (int i = 0; i < kRepeats; ++i) {
    // Not twice the same prompt: the prefix cache would have it.
    FATHOM_TRY(const Seen inside, ask_engine(serving, answers, prompt_tokens + i, kAnswerTokens));
    FATHOM_TRY(const Seen outside, ask_server(server, answers));
    engine.push_back(inside.inter_token);
    served.push_back(outside.inter_token);
    later.push_back(outside.first_token - inside.first_token);
  }
  return Pairs{.engine_token = median(engine),
               .server_token = median(served),
               .later_first_token = median(later)};
}

struct Beside {
  double step = 0;   // of the engine's own time between steps, without the model
  double logit = 0;  // for each logit
};

// Of a step in which all time but the model's is counted, drawing is in proportion to tokens.
Beside beside_model(const ServingStats& before, const ServingStats& after, double vocab) {
  const auto steps = static_cast<double>(after.steps - before.steps);
  const auto tokens = static_cast<double>(after.answer_tokens - before.answer_tokens);
  const double sampling = after.sampling_seconds - before.sampling_seconds;
  const double rest = (after.total_seconds - before.total_seconds) -
                      (after.model_seconds - before.model_seconds) - sampling;
  return {.step = std::max(0.0, rest / steps), .logit = std::max(0.0, sampling / tokens / vocab)};
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
  costs.serve_token_seconds = token_seconds;
  costs.serve_request_seconds = request_seconds;
  costs.program_bytes = program_bytes;
}

std::string ServeCosts::text() const {
  if (!measured) {
    return "What a server costs beside its model was not measured: there is no default model here "
           "(fathom pull).\n";
  }
  return fmt::format(
      "beside the model: {:.0f} us a step, {:.2f} ns for each logit of a token drawn, {:.0f} us a "
      "token and {:.1f} ms a request for a client here; {:.0f} MB of memory\n",
      1e6 * step_seconds, 1e9 * logit_seconds, 1e6 * token_seconds, 1e3 * request_seconds,
      program_bytes / 1e6);
}

Result<ServeCosts> measure_serve_costs(const ModelOptions& model) {
  ServeCosts costs;
  if (!find_model(model)) return costs;
  FATHOM_TRY(const Model loaded, load_model(model));
  FATHOM_TRY(const auto server, LoopbackServer::start(loaded, ServingOptions{}));
  const std::shared_ptr<Engine> engine = loaded.impl()->engine;
  FATHOM_TRY(const plan::ModelFacts facts, plan::facts_of(*engine->checkpoint));
  const auto vocab = static_cast<double>(engine->info.vocab_size);
  const int64_t rows = engine->model->max_batch_tokens();
  FATHOM_TRY(const auto serving, ServingEngine::start(engine));
  FATHOM_TRY(Seen warm, ask_engine(*serving, 1, rows, 4));  // and a step of the largest size
  FATHOM_TRY(warm, ask_engine(*serving, kManyAnswers, kPromptWords, 4));
  // Before the server is asked, so that nothing but this engine's cache is in use.
  plan::Deployment deployment;
  deployment.model = facts;
  deployment.cache = engine->model->cache_layout().type;
  deployment.max_batch_tokens = rows;
  deployment.max_running = kManyAnswers;
  deployment.hardware.costs = std::make_shared<const plan::StepCosts>();
  const ServingStats stats = serving->stats();
  const auto cached = static_cast<double>(stats.pages_touched * CachePool::kPageTokens);
  costs.program_bytes = std::max(
      0.0, static_cast<double>(resident_bytes()) - plan::memory_of(deployment, cached).total());

  FATHOM_TRY(warm, ask_server(*server, kManyAnswers));
  const ServingStats before = serving->stats();
  FATHOM_TRY(const Pairs few, ask_both(*serving, *server, 1, kPromptWords));
  FATHOM_TRY(const Pairs many, ask_both(*serving, *server, kManyAnswers, kPromptWords));
  const Beside beside = beside_model(before, serving->stats(), vocab);
  costs.logit_seconds = beside.logit;
  const double one = std::max(0.0, few.server_token - few.engine_token);
  const double all = std::max(0.0, many.server_token - many.engine_token);
  costs.token_seconds = std::max(0.0, (all - one) / (kManyAnswers - 1));
  costs.step_seconds = beside.step + std::max(0.0, one - costs.token_seconds);
  costs.request_seconds = std::max(0.0, few.later_first_token);
  costs.measured = true;
  return costs;
}

}  // namespace fathom::cli

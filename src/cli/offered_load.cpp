#include "cli/offered_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "cli/loopback_server.h"
#include "engine/engine.h"

namespace fathom::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Streams of random numbers apart from each other, for one seed.
loadtest::Random random_of(uint64_t seed, uint64_t stream) {
  std::seed_seq sequence{seed, seed >> 32, stream};
  return loadtest::Random(sequence);
}

// Times and lengths; prompts as the lengths say.
OfferedLoad draw_requests(const LoadLengths& lengths, double rate, int64_t count, uint64_t seed) {
  OfferedLoad load{.seed = seed};
  loadtest::Random gaps = random_of(seed, 1);
  loadtest::Random drawn = random_of(seed, 2);
  double at = 0;
  load.requests.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    plan::PastRequest request{.at = at};
    request.prompt_tokens = lengths.prompt.draw(drawn);
    request.output_tokens = lengths.output.draw(drawn);
    load.requests.push_back(request);
    if (rate > 0) at -= std::log(1 - loadtest::uniform(gaps)) / rate;
  }
  return load;
}

class ServerTarget final : public LoadTarget {
 public:
  ServerTarget(const Model& model, std::unique_ptr<LoopbackServer> server)
      : model_(model), server_(std::move(server)) {}

  Result<OfferedLoad> draw(const LoadLengths& lengths, double rate, int64_t count,
                           uint64_t seed) const override {
    OfferedLoad load = draw_requests(lengths, rate, count, seed);
    load.prompt_words.reserve(load.requests.size());
    for (const plan::PastRequest& request : load.requests) {
      load.prompt_words.push_back(request.prompt_tokens);
    }
    const loadtest::Workload asked = workload(load);
    for (size_t i = 0; i < load.requests.size(); ++i) {
      FATHOM_TRY(const auto tokens, model_.tokenize(asked.ask(i).prompt));
      load.requests[i].prompt_tokens = std::ssize(tokens);
    }
    return load;
  }

  Result<SeenTimes> put(const OfferedLoad& load) override {
    loadtest::RunOptions run;
    run.arrivals = loadtest::Arrivals::kTrace;
    FATHOM_TRY(const loadtest::Summary seen, server_->put(run, workload(load)));
    for (const auto& [kind, failures] : seen.errors) {
      return fail("{} of {} requests were not answered ({}): {}", failures.count, seen.requests,
                  kind, failures.example);
    }
    return SeenTimes{.first_token = seen.first_token, .inter_token = seen.inter_token};
  }

 private:
  static loadtest::Workload workload(const OfferedLoad& load) {
    std::vector<loadtest::TraceEntry> trace;
    trace.reserve(load.requests.size());
    for (size_t i = 0; i < load.requests.size(); ++i) {
      loadtest::TraceEntry entry;
      entry.at = load.requests[i].at;
      entry.prompt_words = load.prompt_words[i];
      entry.max_tokens = load.requests[i].output_tokens;
      trace.push_back(std::move(entry));
    }
    loadtest::WorkloadOptions options;
    options.seed = load.seed;
    return {options, std::move(trace)};
  }

  const Model& model_;
  std::unique_ptr<LoopbackServer> server_;
};

// When an answer's tokens came.
class TokenTimes final : public AnswerSink {
 public:
  void on_chunk(const AnswerChunk& /*chunk*/) override {
    last_ = Clock::now();
    if (!first_) first_ = last_;
  }
  void on_end(const AnswerEnd& end) override {
    const std::lock_guard lock(mutex_);
    end_ = end;
    changed_.notify_one();
  }
  // What came before can be read without the lock after it.
  AnswerEnd wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return end_.has_value(); });
    return *end_;
  }
  std::optional<Clock::time_point> first() const { return first_; }
  Clock::time_point last() const { return last_; }

 private:
  std::optional<Clock::time_point> first_;
  Clock::time_point last_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<AnswerEnd> end_;
};

constexpr int64_t kMostWaiting = 1'000'000'000;

class EngineTarget final : public LoadTarget {
 public:
  EngineTarget(std::unique_ptr<ServingEngine> engine, int64_t vocabulary)
      : engine_(std::move(engine)), vocabulary_(vocabulary) {}

  Result<OfferedLoad> draw(const LoadLengths& lengths, double rate, int64_t count,
                           uint64_t seed) const override {
    return draw_requests(lengths, rate, count, seed);
  }

  Result<SeenTimes> put(const OfferedLoad& load) override {
    loadtest::Random random = random_of(load.seed, 3);
    std::vector<std::shared_ptr<TokenTimes>> answers;
    answers.reserve(load.requests.size());
    const auto start = Clock::now();
    const auto due = [&](size_t i) {
      return start + std::chrono::duration_cast<Clock::duration>(
                         std::chrono::duration<double>(load.requests[i].at));
    };
    for (size_t i = 0; i < load.requests.size(); ++i) {
      const plan::PastRequest& asked = load.requests[i];
      Request request;
      request.prompt.resize(static_cast<size_t>(asked.prompt_tokens));
      for (int32_t& token : request.prompt) {
        token = static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary_));
      }
      request.options.max_tokens = asked.output_tokens;
      request.options.stop_at_eos = false;
      request.sink = answers.emplace_back(std::make_shared<TokenTimes>());
      std::this_thread::sleep_until(due(i));
      if (const auto taken = engine_->submit(std::move(request)); !taken) {
        return fail("The engine did not take a request: {}", taken.error().message);
      }
    }
    std::vector<double> first_token;
    std::vector<double> inter_token;
    first_token.reserve(answers.size());
    inter_token.reserve(answers.size());
    for (size_t i = 0; i < answers.size(); ++i) {
      const AnswerEnd end = answers[i]->wait();
      if (end.error) return std::unexpected(*end.error);
      if (!answers[i]->first()) return fail("An answer ended without a token.");
      first_token.push_back(seconds_between(due(i), *answers[i]->first()));
      if (end.completion_tokens < 2) continue;
      inter_token.push_back(seconds_between(*answers[i]->first(), answers[i]->last()) /
                            static_cast<double>(end.completion_tokens - 1));
    }
    return SeenTimes{.first_token = loadtest::spread_of(std::move(first_token)),
                     .inter_token = loadtest::spread_of(std::move(inter_token))};
  }

 private:
  std::unique_ptr<ServingEngine> engine_;
  int64_t vocabulary_;
};

}  // namespace

bool is_served(const Model& model) {
  return model.info().has_tokenizer;
}

Result<std::unique_ptr<LoadTarget>> start_load_target(const Model& model,
                                                      const ServingOptions& options) {
  std::unique_ptr<LoadTarget> target;
  if (is_served(model)) {
    FATHOM_TRY(auto server, LoopbackServer::start(model, options));
    target = std::make_unique<ServerTarget>(model, std::move(server));
  } else {
    // Nobody is turned away: how many come is known beforehand.
    ServingOptions patient = options;
    patient.max_waiting = kMostWaiting;
    FATHOM_TRY(auto engine, ServingEngine::start(model.impl()->engine, patient));
    target = std::make_unique<EngineTarget>(std::move(engine), model.info().vocab_size);
  }
  return target;
}

}  // namespace fathom::cli

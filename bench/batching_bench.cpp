// The serving engine under load, in one process, without HTTP.
//   build/bench/batching_bench MODEL load SESSIONS SECONDS
//     A closed loop: each session asks with 48 random words, reads 64 tokens, and asks again.
//   build/bench/batching_bench MODEL stall STREAMS [TOKENS]
//     Streams decode; then a prompt of 4,000 tokens comes in beside them. Prints the time between
//     two tokens of a stream without it and with it, and what the prompt took alone and beside
//     them.
// FATHOM_BENCH_THREADS limits the threads.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/serving_engine.h"

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;

double now() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

double mean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string words(std::mt19937& random, int count) {
  static const char* const kWords[] = {
      "river",   "engine", "yellow",  "market", "before",  "little",  "number", "people",
      "window",  "silver", "answer",  "garden", "morning", "letter",  "travel", "simple",
      "winter",  "castle", "doctor",  "island", "music",   "planet",  "return", "summer",
      "teacher", "under",  "village", "water",  "young",   "history", "future", "bridge"};
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += (i > 0 ? " " : "") + std::string(kWords[random() % std::size(kWords)]);
  }
  return text;
}

Request ask(std::vector<int32_t> prompt, int64_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.options.max_tokens = max_tokens;
  request.options.stop_at_eos = false;
  return request;
}

void print_shares(const ServingStats& before, const ServingStats& after) {
  const double total = after.total_seconds - before.total_seconds;
  const double model = after.model_seconds - before.model_seconds;
  const double sampling = after.sampling_seconds - before.sampling_seconds;
  const auto steps = static_cast<double>(after.steps - before.steps);
  fmt::print(
      "  {:.0f} steps of {:.1f} ms and {:.1f} rows: model {:.1f}%, sampling {:.2f}%, the rest "
      "{:.2f}%\n",
      steps, 1e3 * total / steps,
      static_cast<double>(after.computed_tokens - before.computed_tokens) / steps,
      100 * model / total, 100 * sampling / total, 100 * (total - model - sampling) / total);
}

// Sessions that ask again whenever they have read an answer, until `until`.
class ClosedLoop {
 public:
  ClosedLoop(const Model& model, ServingEngine& engine, int sessions, double from, double until)
      : model_(model), engine_(engine), from_(from), until_(until) {
    for (int i = 0; i < sessions; ++i) sessions_.push_back(std::make_shared<Session>(*this, i));
    open_ = sessions;
    for (auto& session : sessions_) session->ask_again();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return open_ == 0; });
  }

  void print() const {
    std::vector<double> gaps;
    std::vector<double> first;
    std::vector<double> each;
    int64_t tokens = 0;
    for (const auto& s : sessions_) {
      gaps.insert(gaps.end(), s->gaps.begin(), s->gaps.end());
      first.insert(first.end(), s->first.begin(), s->first.end());
      each.push_back(mean(s->durations));
      tokens += s->tokens;
    }
    fmt::print(
        "{} sessions: {:.0f} tokens/s; between tokens mean {:.1f} ms, p99 {:.1f}; first token "
        "median {:.2f} s, p95 {:.2f}; answers per session: median {:.2f} s, slowest {:.2f}\n",
        sessions_.size(), static_cast<double>(tokens) / (until_ - from_), 1e3 * mean(gaps),
        1e3 * quantile(gaps, 0.99), quantile(first, 0.5), quantile(first, 0.95),
        quantile(each, 0.5), quantile(each, 1.0));
  }

 private:
  struct Session final : AnswerSink, std::enable_shared_from_this<Session> {
    Session(ClosedLoop& loop_in, int number)
        : loop(loop_in), random(static_cast<uint32_t>(number)) {}
    void ask_again() {
      asked = now();
      last = 0;
      Request request = ask(*loop.model_.tokenize(words(random, 48)), 64);
      request.sink = shared_from_this();
      if (!loop.engine_.submit(std::move(request))) std::abort();
    }
    void on_chunk(const AnswerChunk& chunk) override {
      const double at = now();
      const bool counts = at >= loop.from_ && at < loop.until_;
      if (counts) tokens += std::ssize(chunk.tokens);
      if (counts && last > 0) gaps.push_back(at - last);
      if (counts && last == 0) first.push_back(at - asked);
      last = at;
    }
    void on_end(const AnswerEnd& end) override {
      if (end.error) fmt::print("{}\n", end.error->message);
      if (now() < loop.until_) {
        if (now() >= loop.from_) durations.push_back(now() - asked);
        return ask_again();
      }
      const std::lock_guard lock(loop.mutex_);
      if (--loop.open_ == 0) loop.done_.notify_all();
    }
    ClosedLoop& loop;
    std::mt19937 random;
    double asked = 0;
    double last = 0;
    int64_t tokens = 0;
    std::vector<double> gaps;
    std::vector<double> first;
    std::vector<double> durations;
  };

  const Model& model_;
  ServingEngine& engine_;
  double from_;
  double until_;
  std::vector<std::shared_ptr<Session>> sessions_;
  std::mutex mutex_;
  std::condition_variable done_;
  int open_ = 0;
};

void load(const Model& model, ServingEngine& engine, int sessions, double seconds) {
  const double from = now() + std::min(3.0, seconds / 4);
  ClosedLoop loop(model, engine, sessions, from, from + seconds);
  std::this_thread::sleep_for(std::chrono::duration<double>(from - now()));
  const ServingStats before = engine.stats();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const ServingStats after = engine.stats();
  engine.stop();
  loop.wait();
  loop.print();
  print_shares(before, after);
}

// Notes when tokens come.
struct Times final : AnswerSink {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<double> at;
  double seconds = 0;
  bool ended = false;
  void on_chunk(const AnswerChunk& chunk) override {
    (void)chunk;
    const std::lock_guard lock(mutex);
    at.push_back(now());
  }
  void on_end(const AnswerEnd& end) override {
    const std::lock_guard lock(mutex);
    ended = true;
    seconds = end.seconds;
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return ended; });
  }
  std::vector<double> gaps(double from, double until) {
    const std::lock_guard lock(mutex);
    std::vector<double> found;
    for (size_t i = 1; i < at.size(); ++i) {
      if (at[i - 1] >= from && at[i] < until) found.push_back(at[i] - at[i - 1]);
    }
    return found;
  }
};

double prompt_seconds(ServingEngine& engine, std::vector<int32_t> prompt) {
  auto times = std::make_shared<Times>();
  Request request = ask(std::move(prompt), 1);
  request.sink = times;
  if (!engine.submit(std::move(request))) std::abort();
  times->wait();
  return times->seconds;
}

void stall(const Model& model, ServingEngine& engine, int streams, int64_t length) {
  std::mt19937 random(1);
  const auto long_prompt = [&] {
    auto tokens = *model.tokenize(words(random, static_cast<int>(length) + 500));
    tokens.resize(static_cast<size_t>(length));
    return tokens;
  };
  const double alone = prompt_seconds(engine, long_prompt());
  std::vector<std::shared_ptr<Times>> running;
  std::vector<RequestId> ids;
  for (int i = 0; i < streams; ++i) {
    running.push_back(std::make_shared<Times>());
    Request request = ask(*model.tokenize(words(random, 48)), -1);
    request.sink = running.back();
    ids.push_back(*engine.submit(std::move(request)));
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const double quiet_from = now();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const double quiet_until = now();
  const ServingStats before = engine.stats();
  const double beside = prompt_seconds(engine, long_prompt());
  const double loud_until = now();
  const ServingStats after = engine.stats();
  for (const RequestId id : ids) engine.cancel(id);
  std::vector<double> without;
  std::vector<double> with;
  for (const auto& times : running) {
    times->wait();
    const auto a = times->gaps(quiet_from, quiet_until);
    const auto b = times->gaps(quiet_until, loud_until);
    without.insert(without.end(), a.begin(), a.end());
    with.insert(with.end(), b.begin(), b.end());
  }
  const auto line = [](const char* name, const std::vector<double>& gaps) {
    fmt::print(
        "  between tokens {}: mean {:.2f} ms, p50 {:.2f}, p95 {:.2f}, p99 {:.2f}, max {:.2f}\n",
        name, 1e3 * mean(gaps), 1e3 * quantile(gaps, 0.5), 1e3 * quantile(gaps, 0.95),
        1e3 * quantile(gaps, 0.99), 1e3 * quantile(gaps, 1.0));
  };
  fmt::print("{} streams, then a prompt of {} tokens: alone {:.2f} s, beside them {:.2f} s\n",
             streams, length, alone, beside);
  line("without it", without);
  line("with it   ", with);
  fmt::print(
      "  ratio of means {:.2f}, of p95 to the median without {:.2f}; rows of all {:.0f}/s, of "
      "the prompt alone {:.0f}/s\n",
      mean(with) / mean(without), quantile(with, 0.95) / quantile(without, 0.5),
      static_cast<double>(after.computed_tokens - before.computed_tokens) / beside, 4000 / alone);
  print_shares(before, after);
}

int run(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(
        stderr,
        "usage: batching_bench MODEL load SESSIONS SECONDS | MODEL stall STREAMS [TOKENS]\n");
    return 2;
  }
  const char* threads = std::getenv("FATHOM_BENCH_THREADS");
  LoadOptions options;
  options.threads = threads == nullptr ? 0 : std::atoi(threads);
  const auto model = Model::load(argv[1], options);
  if (!model) {
    fmt::print(stderr, "{}\n", model.error().message);
    return 1;
  }
  ServingOptions serving;
  serving.kv_memory = int64_t{2} << 30;
  auto engine = ServingEngine::start(model->impl()->engine, serving);
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return 1;
  }
  const int count = std::atoi(argv[3]);
  if (std::string(argv[2]) == "stall") {
    stall(*model, **engine, count, argc > 4 ? std::atoi(argv[4]) : 4000);
  } else {
    load(*model, **engine, count, argc > 4 ? std::atof(argv[4]) : 10.0);
  }
  return 0;
}

}  // namespace
}  // namespace fathom

int main(int argc, char** argv) {
  return fathom::run(argc, argv);
}

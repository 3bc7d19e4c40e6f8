#include "loadtest/run.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <memory>
#include <utility>

namespace fathom::loadtest {

namespace asio = boost::asio;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kTick{100};
constexpr int kMostTries = 100;      // of one request that is refused for now
constexpr double kLongestWait = 60;  // seconds that a session waits before it asks again
constexpr int64_t kGoneAfter = 20;   // connections refused in a row

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

class Runner {
 public:
  Runner(asio::io_context& io, RunOptions options, const Workload& workload, Client& client)
      : io_(io),
        options_(std::move(options)),
        workload_(workload),
        client_(client),
        start_(Clock::now()) {}

  void begin() {
    if (options_.arrivals == Arrivals::kSessions) {
      for (int64_t i = 0; i < options_.sessions; ++i) spawn(session(i));
    } else {
      spawn(arrivals());
    }
    asio::co_spawn(io_, watch(), asio::detached);
  }

  RunLog finish() {
    for (const Record& record : log_.records) log_.seconds = std::max(log_.seconds, record.ended);
    return std::move(log_);
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool over() const {
    return stopped_ || (options_.duration > 0 && elapsed() >= options_.duration);
  }
  bool has_more() const { return !over() && (options_.requests == 0 || next_ < options_.requests); }

  void spawn(asio::awaitable<void> work) {
    ++working_;
    asio::co_spawn(io_, std::move(work), [this](const std::exception_ptr& error) {
      --working_;
      if (error) std::rethrow_exception(error);
    });
  }

  // Until then, or until the run is over.
  asio::awaitable<void> wait_until(Clock::time_point when) {
    asio::steady_timer timer(io_);
    while (!over() && Clock::now() < when) {
      timer.expires_at(std::min(when, Clock::now() + kTick));
      co_await timer.async_wait(kToken);
    }
  }

  asio::awaitable<void> session(int64_t number) {
    int failures = 0;
    while (has_more()) {
      const auto index = static_cast<uint64_t>(next_++);
      for (int tries = 1; true; ++tries) {
        ++open_;
        Record record = co_await client_.ask(workload_.ask(index), start_, Clock::now());
        --open_;
        const bool answered = record.answered();
        const bool refused_for_now = record.status == 429;
        const double retry_after = record.retry_after;
        note(std::move(record), number, index);
        failures = answered ? 0 : failures + 1;
        if (answered || stopped_) break;
        const double pause = refused_for_now && retry_after > 0
                                 ? std::min(retry_after, kLongestWait)
                                 : std::min(1.0, 0.01 * std::pow(2.0, std::min(failures, 10)));
        co_await wait_until(Clock::now() + duration_of(pause));
        if (!refused_for_now || tries == kMostTries || over()) break;
      }
    }
  }

  asio::awaitable<void> arrivals() {
    Random random = workload_.random(~uint64_t{0} - 1);
    double due = 0;
    while (has_more()) {
      const auto index = static_cast<uint64_t>(next_);
      if (options_.arrivals == Arrivals::kPoisson) {
        due -= std::log(1 - uniform(random)) / options_.rate;
      } else if (index == workload_.trace().size()) {
        break;
      } else {
        due = workload_.trace()[index].at.value_or(0);
      }
      const auto when = start_ + duration_of(due);
      co_await wait_until(when);
      if (over()) break;
      ++next_;
      spawn(one(index, when));
    }
  }

  asio::awaitable<void> one(uint64_t index, Clock::time_point due) {
    ++open_;
    Record record = co_await client_.ask(workload_.ask(index), start_, due);
    --open_;
    note(std::move(record), static_cast<int64_t>(index), index);
  }

  void note(Record record, int64_t session, uint64_t index) {
    if (stopped_) return;  // it was cut off by us
    record.session = session;
    record.index = index;
    if (record.answered()) {
      ++answered_;
    } else {
      ++failed_;
    }
    tokens_ += record.tokens();
    refused_in_a_row_ = record.error == "no connection" ? refused_in_a_row_ + 1 : 0;
    if (refused_in_a_row_ >= kGoneAfter) {
      log_.gone = record.detail;
      stop();
    }
    log_.records.push_back(std::move(record));
  }

  void stop() {
    stopped_ = true;
    client_.abort();
  }

  asio::awaitable<void> watch() {
    asio::steady_timer timer(io_);
    double shown = 0;
    while (working_ > 0) {
      timer.expires_after(kTick);
      co_await timer.async_wait(kToken);
      if (!stopped_ && options_.interrupted && options_.interrupted()) {
        log_.interrupted = true;
        stop();
      }
      if (options_.on_second && working_ > 0 && elapsed() >= shown + 1) {
        shown = elapsed();
        options_.on_second({.seconds = shown,
                            .open = open_,
                            .answered = answered_,
                            .failed = failed_,
                            .tokens = tokens_});
      }
    }
  }

  asio::io_context& io_;
  const RunOptions options_;
  const Workload& workload_;
  Client& client_;
  const Clock::time_point start_;
  RunLog log_;
  int64_t next_ = 0;     // requests that have begun
  int64_t working_ = 0;  // coroutines that have not ended
  int64_t open_ = 0;
  int64_t answered_ = 0;
  int64_t failed_ = 0;
  int64_t tokens_ = 0;
  int64_t refused_in_a_row_ = 0;
  bool stopped_ = false;
};

}  // namespace

Result<RunLog> run(RunOptions options, const Workload& workload) {
  asio::io_context io(1);
  FATHOM_TRY(const auto client, Client::make(io, options.client));
  Result<std::string> model = fail("nobody has asked yet");
  const auto find_model = [&]() -> asio::awaitable<void> {
    model = co_await client->first_model();
  };
  asio::co_spawn(io, find_model(), asio::detached);
  io.run();
  if (!model) return std::unexpected(model.error());
  std::string name = options.client.model.empty() ? *model : options.client.model;
  client->set_model(name);
  io.restart();
  Runner runner(io, std::move(options), workload, *client);
  runner.begin();
  io.run();
  RunLog log = runner.finish();
  log.model = std::move(name);
  return log;
}

}  // namespace fathom::loadtest

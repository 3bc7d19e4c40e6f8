#include "plan/queueing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace fathom::plan {
namespace {

constexpr std::array<double, 4> kRows{0, 32, 128, 512};
// As StepPacer has them.
constexpr double kMargin = 0.85;
constexpr double kAlwaysTogether = 8;
constexpr int kRounds = 16;

// Step times of one copy, tabulated: over how many decode, and rows of prompts with them.
class Table {
 public:
  Table(const ServerModel& server, const Demand& demand, double most, StepSeconds step_seconds) {
    decode_context_ = demand.prompt.mean + demand.output.mean / 2;
    most_rows_ = static_cast<double>(server.max_batch_tokens);
    for (double n = 0; n < most; n = n < 4 ? n + 1 : std::ceil(n * 1.3)) sizes_.push_back(n);
    sizes_.push_back(most);
    seconds_.reserve(sizes_.size());
    for (const double size : sizes_) {
      std::array<double, kRows.size()> row{};
      for (size_t i = 0; i < kRows.size(); ++i) {
        if (size == 0 && kRows[i] == 0) continue;
        row[i] = step_seconds({.decode_rows = size,
                               .decode_context = decode_context_,
                               .prompt_rows = kRows[i],
                               .prompt_context = kRows[i] > 0 ? demand.computed.mean / 2 : 0,
                               .logits = size + (kRows[i] > 0 ? 1 : 0)});
      }
      seconds_.push_back(row);
    }
  }

  double time(double decoding, double rows) const {
    decoding = std::clamp(decoding, sizes_.front(), sizes_.back());
    const auto above = std::ranges::upper_bound(sizes_, decoding);
    const size_t high =
        std::min<size_t>(static_cast<size_t>(above - sizes_.begin()), sizes_.size() - 1);
    const size_t low = high == 0 ? 0 : high - 1;
    const double width = sizes_[high] - sizes_[low];
    const double share = width > 0 ? (decoding - sizes_[low]) / width : 0;
    const double at_low = over_rows(seconds_[low], rows);
    return at_low + share * (over_rows(seconds_[high], rows) - at_low);
  }

  // Alone, in as few steps as there can be.
  double whole_prompt(double rows) const {
    const double full = std::floor(rows / most_rows_);
    const double rest = rows - full * most_rows_;
    return full * time(0, most_rows_) + (rest > 0 ? time(0, rest) : 0);
  }

  double most_rows() const { return most_rows_; }

 private:
  // Few rows cost as their share of the first knot does, but with the whole of what a step without
  // any would cost, where nobody decodes.
  static double over_rows(const std::array<double, kRows.size()>& seconds, double rows) {
    size_t high = 1;
    while (high + 1 < kRows.size() && rows > kRows[high]) ++high;
    const size_t low = high - 1;
    // Nobody decodes: there is no step without rows to start from.
    if (low == 0 && seconds[0] == 0) {
      const double slope = (seconds[2] - seconds[1]) / (kRows[2] - kRows[1]);
      return rows > 0 ? std::max(seconds[1] - slope * (kRows[1] - rows), 0.0) : 0;
    }
    const double slope = (seconds[high] - seconds[low]) / (kRows[high] - kRows[low]);
    return std::max(seconds[low] + slope * (rows - kRows[low]), 0.0);
  }

  double decode_context_ = 0;
  double most_rows_ = 512;
  std::vector<double> sizes_;
  std::vector<std::array<double, kRows.size()>> seconds_;
};

// A copy that always has so many requests.
struct State {
  double prefill = 0;   // seconds of a request until its first token
  double alone = 0;     // the same with no other prompt beside it
  double token = 0;     // seconds between two of its tokens
  double rate = 0;      // requests that end a second
  double decoding = 0;  // that decode
};

struct Prefill {
  double rows = 1;     // of a step
  double seconds = 0;  // of such a step
};

// What StepPacer lets `prompts` of them have beside those that decode.
Prefill prefill_step(const Table& table, const ServerModel& server, double decoding,
                     double prompts) {
  const double bare = table.time(decoding, 0);
  const double stall = stall_of(server.pace, server.reads, decoding);
  const double one = stall * bare;
  const double all = (1 + (stall - 1) * prompts) * bare;
  const double allowed =
      kMargin * std::max(one, std::min(all, std::max(server.pace.target_seconds, 0.0)));
  const double most = std::max(table.most_rows() - decoding, 1.0);
  // The largest number of rows with which a step takes no longer.
  double low = 1;
  double high = most;
  if (table.time(decoding, most) <= allowed) low = most;
  for (int i = 0; i < 12 && low < most; ++i) {
    const double middle = (low + high) / 2;
    (table.time(decoding, middle) <= allowed ? low : high) = middle;
  }
  return {.rows = low, .seconds = table.time(decoding, low)};
}

State state_of(const Table& table, const ServerModel& server, const Demand& demand, double n) {
  State state;
  const double prompt = demand.computed.mean;
  const double tokens = std::max(demand.output.mean - 1, 0.0);
  const double whole = table.whole_prompt(prompt);
  state.prefill = state.alone = whole;
  state.token = table.time(1, 0);
  state.decoding = 1;
  double holding = whole + tokens * state.token;
  for (int round = 0; round < kRounds && n > 1; ++round) {
    const double decodes = holding > 0 ? tokens * state.token / holding : 0;  // share of its time
    const double others = (n - 1) * decodes;
    const double together = 1 + (n - 1) * (1 - decodes);  // prompts, with the one looked at
    const double somebody = 1 - std::pow(1 - decodes, n - 1);
    const Prefill shared = prefill_step(table, server, std::max(others, 1.0), together);
    const Prefill single = prefill_step(table, server, std::max(others, 1.0), 1);
    const auto beside = [&](const Prefill& step, double prompts) {
      return std::max(prompt * prompts / step.rows, 1.0) * step.seconds;
    };
    // Prompts share steps: with few rows each, several are computed in the time of one.
    const double idle = table.whole_prompt(prompt * together);
    const double prefill = (1 - somebody) * idle + somebody * beside(shared, together);
    state.alone = (1 - somebody) * whole + somebody * beside(single, 1);
    // Rows of others' prompts make steps longer in which it decodes.
    const double decoding = 1 + others;
    const double bare = table.time(decoding, 0);
    const double row = (shared.seconds - table.time(std::max(others, 1.0), 0)) / shared.rows;
    const double others_rate = (n - 1) / holding;
    const double load = std::min(others_rate * prompt * std::max(row, 0.0), 0.95);
    const double token = bare / (1 - load);
    state.prefill += 0.5 * (prefill - state.prefill);
    state.token += 0.5 * (token - state.token);
    state.decoding = decoding;
    holding = state.prefill + tokens * state.token;
  }
  state.rate = holding > 0 ? n / holding : 0;
  return state;
}

// States at some sizes, and between them by interpolation.
class States {
 public:
  States(const Table& table, const ServerModel& server, const Demand& demand, double most) {
    for (double n = 1; n < most; n = n < 4 ? n + 1 : std::ceil(n * 1.4)) sizes_.push_back(n);
    sizes_.push_back(most);
    states_.reserve(sizes_.size());
    double best = 0;
    for (const double size : sizes_) {
      State state = state_of(table, server, demand, size);
      // More together are never slower in sum: others would wait.
      best = state.rate = std::max(state.rate, best);
      states_.push_back(state);
    }
  }

  State at(double n) const {
    n = std::clamp(n, sizes_.front(), sizes_.back());
    const auto above = std::ranges::upper_bound(sizes_, n);
    const size_t high =
        std::min<size_t>(static_cast<size_t>(above - sizes_.begin()), sizes_.size() - 1);
    const size_t low = high == 0 ? 0 : high - 1;
    const double width = sizes_[high] - sizes_[low];
    const double share = width > 0 ? (n - sizes_[low]) / width : 0;
    const State& a = states_[low];
    const State& b = states_[high];
    const auto mix = [share](double x, double y) { return x + share * (y - x); };
    return {.prefill = mix(a.prefill, b.prefill),
            .alone = mix(a.alone, b.alone),
            .token = mix(a.token, b.token),
            .rate = mix(a.rate, b.rate),
            .decoding = mix(a.decoding, b.decoding)};
  }

  // Admission stops while steps take longer than wanted.
  double most_within(double seconds) const {
    if (seconds <= 0) return sizes_.back();
    double most = sizes_.back();
    while (most > kAlwaysTogether && at(most).token > seconds) {
      most = std::max(kAlwaysTogether, std::floor(most * 0.95));
    }
    return std::min(most, sizes_.back());
  }

 private:
  std::vector<double> sizes_;
  std::vector<State> states_;
};

// How many are there when one more comes, with the chances of it.
class Numbers {
 public:
  Numbers(const States& states, double most, double rate) {
    double weight = 1;
    double sum = 1;
    chances_.push_back(1);
    const auto limit = static_cast<size_t>(most);
    // Beyond the most that run, a geometric tail; as far as it matters.
    const double last = rate / states.at(most).rate;
    for (size_t n = 1; n < limit + 5000 && weight > 1e-7 * sum; ++n) {
      weight *= n < limit ? rate / states.at(static_cast<double>(n)).rate : last;
      chances_.push_back(weight);
      sum += weight;
    }
    for (double& chance : chances_) chance /= sum;
  }

  double idle() const { return chances_.front(); }
  double mean() const {
    double sum = 0;
    for (size_t n = 0; n < chances_.size(); ++n) sum += static_cast<double>(n) * chances_[n];
    return sum;
  }
  double quantile(double share) const {
    double below = 0;
    for (size_t n = 0; n < chances_.size(); ++n) {
      if (below + chances_[n] >= share) {
        return static_cast<double>(n) + (share - below) / chances_[n] - 0.5;
      }
      below += chances_[n];
    }
    return static_cast<double>(chances_.size() - 1);
  }

 private:
  std::vector<double> chances_;
};

struct Seen {
  double base = 0;   // the request's own prompt
  double extra = 0;  // waiting for others, on average
};

// The parts above are approximated one by one, so a higher share may come out lower.
Percentiles rising(Percentiles p) {
  p.p90 = std::max(p.p50, p.p90);
  p.p99 = std::max(p.p90, p.p99);
  return p;
}

Seen time_to_first(const States& states, double others, double most) {
  const double n = std::max(others, 0.0) + 1;
  const State state = states.at(std::min(n, most));
  Seen seen{.base = state.alone, .extra = std::max(state.prefill - state.alone, 0.0)};
  // It comes somewhere within a step.
  if (others > 0) seen.extra += std::min(others, 1.0) * state.token / 2;
  if (n > most) seen.extra += (n - most) / state.rate;
  return seen;
}

// Sessions that ask again as soon as they have their answer, as those who wait for their prompts
// see it: a station where prompts are computed, the faster the more of them are there, and
// decoding, in which all others are meanwhile. What one more finds there is what the others alone
// would make of it (Sevcik and Mitrani 1981; Lavenberg and Reiser 1980).
class ClosedLoop {
 public:
  ClosedLoop(const Table& table, const ServerModel& server, const Demand& demand,
             const State& state, double sessions)
      : table_(table), server_(server), prompt_(demand.computed.mean), sessions_(sessions) {
    decoding_ = std::max(demand.output.mean - 1, 0.0) * state.token;
    const double share = decoding_ / std::max(decoding_ + state.prefill, 1e-12);
    others_ = std::max((sessions - 1) * share, 1.0);
    alone_ = std::pow(1 - share, sessions - 1);
    for (double prompts = 1; prompts < sessions; prompts = std::ceil(prompts * 1.4)) {
      add_size(prompts);
    }
    add_size(sessions);
    fill_chances();
    fill_regular();
    // Any spread of lengths scatters those who would keep in step.
    chance_ = std::min(25 * (demand.output.variation + demand.computed.variation), 1.0);
  }

  // Of a prompt with none before it.
  double own(double rows) const { return seconds_of(rows, 1); }
  double wait(double share) const {
    double below = 0;
    for (size_t n = 0; n < chances_.size(); ++n) {
      below += chances_[n];
      if (below < share) continue;
      const double within = n == 0 ? 0 : (share - below) / chances_[n] + 1;
      return mixed(wait_behind(static_cast<double>(n), within));
    }
    return mixed(wait_behind(static_cast<double>(chances_.size() - 1), 1));
  }
  double mean_wait() const {
    double sum = 0;
    for (size_t n = 1; n < chances_.size(); ++n) {
      sum += wait_behind(static_cast<double>(n), 0.5) * chances_[n];
    }
    return mixed(sum);
  }

 private:
  void add_size(double prompts) {
    sizes_.push_back(prompts);
    all_.push_back(seconds_of(prompts * prompt_, prompts));
  }

  // Of so many prompts that are there together.
  double all_seconds(double prompts) const {
    const auto above = std::ranges::upper_bound(sizes_, prompts);
    const size_t high =
        std::min<size_t>(static_cast<size_t>(above - sizes_.begin()), sizes_.size() - 1);
    const size_t low = high == 0 ? 0 : high - 1;
    const double width = sizes_[high] - sizes_[low];
    const double share = width > 0 ? std::clamp((prompts - sizes_[low]) / width, 0.0, 1.0) : 0;
    return all_[low] + share * (all_[high] - all_[low]);
  }

  // With n before it, of the first of which `within` is left to compute.
  double wait_behind(double n, double within) const {
    if (n < 1) return 0;
    const double before = std::max(n - 1 + within, 0.0);
    return std::max(all_seconds(before + 1) - all_seconds(1), 0.0);
  }

  void fill_chances() {
    const auto others = static_cast<size_t>(std::max(sessions_ - 1, 0.0));
    const double decoding = std::max(decoding_, 1e-9 * all_.front() + 1e-300);
    chances_.reserve(others + 1);
    chances_.push_back(1);
    double sum = 1;
    for (size_t n = 0; n < others; ++n) {
      const auto there = static_cast<double>(n + 1);
      const double each = all_seconds(there) / there;
      chances_.push_back(chances_.back() * static_cast<double>(others - n) * each / decoding);
      sum += chances_.back();
      if (sum < 1e200) continue;
      for (double& chance : chances_) chance /= sum;
      sum = 1;
    }
    for (double& chance : chances_) chance /= sum;
  }

  // Where all lengths are equal, each waits as long: those whose prompts fit into one step of an
  // empty server for one another, and all of them for what decoding does not cover.
  void fill_regular() {
    const double bunch =
        std::clamp(std::floor(table_.most_rows() / std::max(prompt_, 1.0)), 1.0, sessions_);
    regular_ = std::max(all_seconds(bunch) - all_.front(), 0.0);
    regular_ = std::max(regular_, all_.back() - decoding_ - all_.front());
  }

  double seconds_of(double rows, double prompts) const {
    const double idle = table_.whole_prompt(rows);
    if (sessions_ <= 1) return idle;
    const Prefill step = prefill_step(table_, server_, others_, prompts);
    const double full = std::max(std::ceil(rows / step.rows) - 1, 0.0);
    const double beside = full * step.seconds + table_.time(others_, rows - full * step.rows);
    return alone_ * idle + (1 - alone_) * beside;
  }

  double mixed(double by_chance) const { return chance_ * by_chance + (1 - chance_) * regular_; }

  const Table& table_;
  const ServerModel& server_;
  double prompt_;
  double sessions_;
  double decoding_ = 0;  // seconds of an answer
  double others_ = 1;    // that decode beside a prompt
  double alone_ = 0;     // the chance that none does
  double regular_ = 0;   // wait of each, where all lengths are equal
  double chance_ = 1;    // how much it is by chance when they come
  std::vector<double> sizes_;
  std::vector<double> all_;
  std::vector<double> chances_;
};

Percentiles sessions_ttft(const ClosedLoop& loop, const LengthFacts& prompt) {
  const double middle = loop.own(prompt.p50) + loop.wait(0.5);
  const auto at = [&](double share, double rows) {
    const double by_length = loop.own(rows) - loop.own(prompt.p50);
    const double by_others = loop.wait(share) - loop.wait(0.5);
    return middle + std::sqrt(by_length * by_length + by_others * by_others);
  };
  return rising({.mean = loop.own(prompt.mean) + loop.mean_wait(),
                 .p50 = middle,
                 .p90 = at(0.9, prompt.p90),
                 .p99 = at(0.99, prompt.p99)});
}

}  // namespace

QueueEstimate estimate_queue(const ServerModel& server, const Demand& demand,
                             StepSeconds step_seconds) {
  const double room =
      static_cast<double>(server.cache_tokens) / (demand.prompt.mean + demand.output.mean / 2);
  const double most_running =
      std::clamp(std::floor(room), 1.0, static_cast<double>(server.max_running));
  const Table table(server, demand, most_running, step_seconds);
  const States states(table, server, demand, most_running);
  const double most = states.most_within(server.pace.target_seconds);

  QueueEstimate estimate;
  estimate.most_requests_per_second = states.at(most).rate;
  const double prompt_p50 = demand.computed.p50 / demand.computed.mean;
  const double prompt_p90 = demand.computed.p90 / demand.computed.mean;
  const double prompt_p99 = demand.computed.p99 / demand.computed.mean;
  if (demand.sessions > 0) {
    const double running = std::min(demand.sessions, most);
    const State state = states.at(running);
    estimate.requests_per_second = state.rate;
    estimate.utilisation = 1;
    estimate.mean_batch = state.decoding;
    estimate.mean_running = estimate.running_p99 = running;
    const double wait = std::max(demand.sessions - most, 0.0) / state.rate;
    estimate.ttft_seconds =
        sessions_ttft(ClosedLoop(table, server, demand, state, running), demand.computed);
    for (double* seconds : {&estimate.ttft_seconds.mean, &estimate.ttft_seconds.p50,
                            &estimate.ttft_seconds.p90, &estimate.ttft_seconds.p99}) {
      *seconds += wait;
    }
    estimate.itl_seconds = {
        .mean = state.token, .p50 = state.token, .p90 = state.token, .p99 = state.token};
    return estimate;
  }

  const double rate = demand.requests_per_second;
  estimate.keeps_up = rate < estimate.most_requests_per_second;
  estimate.requests_per_second = std::min(rate, estimate.most_requests_per_second);
  // Near the limit, the numbers of a load that can just be borne.
  const Numbers numbers(states, most, std::min(rate, 0.99 * estimate.most_requests_per_second));
  estimate.utilisation = estimate.keeps_up ? 1 - numbers.idle() : 1;
  const double mean = estimate.keeps_up ? numbers.mean() : most;
  estimate.mean_running = std::min(mean, most);
  estimate.running_p99 = std::clamp(numbers.quantile(0.99) + 1, 1.0, most);
  estimate.mean_batch = std::min(std::max(states.at(std::max(mean, 1.0)).decoding, 1.0), most);

  const auto token_at = [&](double share) {
    // A request sees an average over its own time, in which numbers change: of a process whose
    // memory is as long as that, two thirds of the variance are left.
    const double others = numbers.quantile(share);
    const double seen = mean + std::sqrt(2.0 / 3) * (others - mean);
    return states.at(std::min(std::max(seen, 0.0) + 1, most)).token;
  };
  estimate.itl_seconds = {.mean = states.at(std::min(mean + 1, most)).token,
                          .p50 = token_at(0.5),
                          .p90 = token_at(0.9),
                          .p99 = token_at(0.99)};

  const Seen typical = time_to_first(states, mean, most);
  const auto first_at = [&](double share, double prompt_share) {
    const Seen seen = time_to_first(states, numbers.quantile(share), most);
    const double by_length = typical.base * (prompt_share - prompt_p50);
    const double by_others = std::max(seen.base + seen.extra - typical.base, 0.0);
    const double middle = typical.base * prompt_p50;
    return middle + std::sqrt(by_length * by_length + by_others * by_others);
  };
  estimate.ttft_seconds = rising({.mean = typical.base + typical.extra,
                                  .p50 = first_at(0.5, prompt_p50),
                                  .p90 = first_at(0.9, prompt_p90),
                                  .p99 = first_at(0.99, prompt_p99)});
  return estimate;
}

}  // namespace fathom::plan

#include "plan/service_rates.h"

#include <algorithm>
#include <cmath>

namespace fathom::plan {
namespace {

constexpr int kRounds = 16;

ServiceState state_of(const StepTable& table, const ServerModel& server, const Demand& demand,
                      double n) {
  ServiceState state;
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
    const PrefillStep shared = prefill_step(table, server, std::max(others, 1.0), together);
    const PrefillStep single = prefill_step(table, server, std::max(others, 1.0), 1);
    const auto beside = [&](const PrefillStep& step, double prompts) {
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

// Where a value lies among sorted ones, or at their nearer end: `share` of the way from element
// `low` to `high`.
struct Between {
  size_t low = 0;
  size_t high = 0;
  double share = 0;
};

Between between(const std::vector<double>& sorted, double value) {
  value = std::clamp(value, sorted.front(), sorted.back());
  const auto above = std::ranges::upper_bound(sorted, value);
  const size_t high =
      std::min<size_t>(static_cast<size_t>(above - sorted.begin()), sorted.size() - 1);
  const size_t low = high == 0 ? 0 : high - 1;
  const double width = sorted[high] - sorted[low];
  return {.low = low, .high = high, .share = width > 0 ? (value - sorted[low]) / width : 0};
}

}  // namespace

StepTable::StepTable(const ServerModel& server, const Demand& demand, double most,
                     StepSeconds step_seconds) {
  decode_context_ = demand.prompt.mean + demand.output.mean / 2;
  most_rows_ = static_cast<double>(server.max_batch_tokens);
  for (double n = 0; n < most; n = n < 4 ? n + 1 : std::ceil(n * 1.3)) sizes_.push_back(n);
  sizes_.push_back(most);
  seconds_.reserve(sizes_.size());
  for (const double size : sizes_) {
    Row row{};
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

double StepTable::time(double decoding, double rows) const {
  const auto [low, high, share] = between(sizes_, decoding);
  const double at_low = over_rows(seconds_[low], rows);
  return at_low + share * (over_rows(seconds_[high], rows) - at_low);
}

double StepTable::whole_prompt(double rows) const {
  const double full = std::floor(rows / most_rows_);
  const double rest = rows - full * most_rows_;
  return full * time(0, most_rows_) + (rest > 0 ? time(0, rest) : 0);
}

// Few rows cost as their share of the first knot does, but with the whole of what a step without
// any would cost, where nobody decodes.
double StepTable::over_rows(const Row& seconds, double rows) {
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

PrefillStep prefill_step(const StepTable& table, const ServerModel& server, double decoding,
                         double prompts) {
  const double bare = table.time(decoding, 0);
  const double stall = stall_of(server.pace, server.reads, decoding);
  const double one = stall * bare;
  const double all = (1 + (stall - 1) * prompts) * bare;
  const double allowed =
      StepPacer::kMargin * std::max(one, std::min(all, std::max(server.pace.target_seconds, 0.0)));
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

ServiceStates::ServiceStates(const StepTable& table, const ServerModel& server,
                             const Demand& demand, double most) {
  for (double n = 1; n < most; n = n < 4 ? n + 1 : std::ceil(n * 1.4)) sizes_.push_back(n);
  sizes_.push_back(most);
  states_.reserve(sizes_.size());
  double best = 0;
  for (const double size : sizes_) {
    ServiceState state = state_of(table, server, demand, size);
    // More together are never slower in sum: others would wait.
    best = state.rate = std::max(state.rate, best);
    states_.push_back(state);
  }
}

ServiceState ServiceStates::at(double n) const {
  const Between place = between(sizes_, n);
  const ServiceState& a = states_[place.low];
  const ServiceState& b = states_[place.high];
  const auto mix = [&place](double x, double y) { return x + place.share * (y - x); };
  return {.prefill = mix(a.prefill, b.prefill),
          .alone = mix(a.alone, b.alone),
          .token = mix(a.token, b.token),
          .rate = mix(a.rate, b.rate),
          .decoding = mix(a.decoding, b.decoding)};
}

double ServiceStates::most_within(double seconds) const {
  if (seconds <= 0) return sizes_.back();
  constexpr auto kLeast = static_cast<double>(StepPacer::kAlwaysTogether);
  double most = sizes_.back();
  while (most > kLeast && at(most).token > seconds) {
    most = std::max(kLeast, std::floor(most * 0.95));
  }
  return std::min(most, sizes_.back());
}

}  // namespace fathom::plan

#include "engine/speculation/batch_policy.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace fathom {
namespace {

constexpr double kWeight = 0.15;  // of a new measurement of time
constexpr double kFade = 0.95;    // of what is known of acceptance, with each token looked at
// Before anything is known of any sequence; and for how many tokens the rate of all counts in that
// of one.
constexpr double kFirstRate = 0.7;
constexpr double kPriorTries = 3;
// Share of the time of plain steps that may be lost to guessing, and in plain steps: what may be
// lost before anything is known, and how much may be saved up or owed.
constexpr double kAllowance = 0.015;
constexpr double kFirstBudget = 2;
constexpr double kLargestBudget = 6;
constexpr int64_t kShortestPause = 8;
constexpr int64_t kLongestPause = 128;
constexpr int64_t kPlainEvery = 64;
constexpr int64_t kAttempt = 2;
// A step is made longer by guesses at most so many times: sequences without any wait for it too.
constexpr double kLongestStretch = 2;

}  // namespace

void AcceptanceRate::record(int64_t drafted, int64_t accepted) {
  FATHOM_ASSERT(accepted <= drafted);
  const int64_t looked_at = std::min(accepted + 1, drafted);
  const double fade = std::pow(kFade, static_cast<double>(looked_at));
  hits_ = fade * hits_ + static_cast<double>(accepted);
  tries_ = fade * tries_ + static_cast<double>(looked_at);
}

double AcceptanceRate::estimate(double prior) const {
  return (hits_ + kPriorTries * prior) / (tries_ + kPriorTries);
}

BatchDraftPolicy::BatchDraftPolicy() : since_draft_(kShortestPause), pause_(kShortestPause) {}

size_t BatchDraftPolicy::range_of(int64_t rows) {
  const double power = std::log2(static_cast<double>(std::max<int64_t>(rows, 1)));
  return std::min(static_cast<size_t>(std::lround(4 * power)),
                  std::tuple_size_v<decltype(costs_)> - 1);
}

// A line through the sizes that were measured. Beyond the largest it goes on as between the last
// two; where only one is known, each row costs its share of it.
double BatchDraftPolicy::step_seconds(int64_t rows) const {
  const auto wanted = static_cast<double>(rows);
  Cost below;  // the origin
  Cost before_below;
  for (const Cost& cost : costs_) {
    if (cost.count == 0) continue;
    if (cost.rows >= wanted) {
      if (below.count == 0) return cost.seconds;  // fewer rows hardly cost less
      const double part = (wanted - below.rows) / (cost.rows - below.rows);
      return below.seconds + part * (cost.seconds - below.seconds);
    }
    before_below = below;
    below = cost;
  }
  if (below.count == 0) return 0;
  const double slope = (below.seconds - before_below.seconds) / (below.rows - before_below.rows);
  return below.seconds + std::max(slope, 0.0) * (wanted - below.rows);
}

// Far from what was measured a row may cost anything: go there by doubling.
int64_t BatchDraftPolicy::most_rows(int64_t decoding) const {
  double largest = 0;
  for (const Cost& cost : costs_) largest = cost.count > 0 ? cost.rows : largest;
  const auto guesses = static_cast<int64_t>(2 * largest) - decoding;
  return std::clamp<int64_t>(guesses, kAttempt, kMostRows);
}

bool BatchDraftPolicy::less_likely(const Pick& a, const Pick& b) {
  return a.probability != b.probability ? a.probability < b.probability : a.choice > b.choice;
}

// Puts guesses in their order and says how many of the first bring the most tokens a second.
int64_t BatchDraftPolicy::rank(int64_t decoding, std::span<const Choice> choices) {
  const double prior = drafts_ == 0 ? kFirstRate : all_.estimate(kFirstRate);
  std::vector<double> rates;
  rates.reserve(choices.size());
  std::vector<int64_t> taken(choices.size(), 0);
  heap_.clear();
  order_.clear();
  for (size_t i = 0; i < choices.size(); ++i) {
    rates.push_back(choices[i].rate->estimate(prior));
    if (choices[i].most > 0) heap_.push_back({.probability = rates[i], .choice = i});
  }
  std::ranges::make_heap(heap_, less_likely);

  const double plain = step_seconds(decoding);
  const int64_t most = most_rows(decoding);
  auto tokens = static_cast<double>(decoding);
  double best_rate = tokens / plain;
  int64_t best = 0;
  while (!heap_.empty() && std::ssize(order_) < most) {
    std::ranges::pop_heap(heap_, less_likely);
    Pick pick = heap_.back();
    heap_.pop_back();
    order_.push_back(pick);
    const int64_t guesses = std::ssize(order_);
    const double seconds = std::max(step_seconds(decoding + guesses), plain) +
                           static_cast<double>(guesses) * draft_seconds_;
    if (seconds > kLongestStretch * plain && decoding > 1) break;
    tokens += pick.probability;
    if (tokens / seconds > best_rate && seconds - plain <= budget_) {
      best_rate = tokens / seconds;
      best = guesses;
    }
    if (++taken[pick.choice] < choices[pick.choice].most) {
      pick.probability *= rates[pick.choice];
      heap_.push_back(pick);
      std::ranges::push_heap(heap_, less_likely);
    }
  }
  return best;
}

// A few guesses for the sequence of which least is known, to see whether it would pay. A drafter
// may take some steps to get ready for them.
void BatchDraftPolicy::attempt(std::span<Choice> choices) {
  if (since_draft_ < pause_ || budget_ <= 0) return;
  const auto found = std::ranges::min_element(choices, {}, [](const Choice& choice) {
    return choice.most > 0 ? choice.rate->tries() : 1e9;
  });
  if (found == choices.end() || found->most == 0) return;
  found->length = std::min(kAttempt, found->most);
}

void BatchDraftPolicy::choose(int64_t decoding, std::span<Choice> choices) {
  for (Choice& choice : choices) choice.length = 0;
  const Cost& plain = costs_[range_of(decoding)];
  if (plain.count == 0 || plain.since_plain >= kPlainEvery) return;
  const int64_t best = rank(decoding, choices);
  for (int64_t i = 0; i < best; ++i) ++choices[order_[static_cast<size_t>(i)].choice].length;
  pays_ = best > 0;
  if (!pays_) attempt(choices);
}

void BatchDraftPolicy::record(const Step& step) {
  Cost& at_plain = costs_[range_of(step.decoding)];
  if (step.drafted > 0) {
    ++at_plain.since_plain;
    const double each = step.draft_seconds / static_cast<double>(step.drafted);
    const double weight = std::max(kWeight, 1.0 / static_cast<double>(++drafts_));
    draft_seconds_ +=
        weight * ((drafts_ > 2 ? std::min(each, 2 * draft_seconds_) : each) - draft_seconds_);
    pause_ = pays_ ? kShortestPause : std::min(2 * pause_, kLongestPause);
    since_draft_ = 0;
  } else {
    ++since_draft_;
  }
  if (step.has_prompts) return;
  if (step.drafted == 0) at_plain.since_plain = 0;

  Cost& cost = costs_[range_of(step.decoding + step.drafted)];
  const auto rows = static_cast<double>(step.decoding + step.drafted);
  // Another program may have taken the cores for a while: no time counts for more than twice what
  // is known.
  const double seconds =
      cost.count > 2 ? std::min(step.step_seconds, 2 * cost.seconds) : step.step_seconds;
  ++cost.count;
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(cost.count));
  cost.rows += weight * (rows - cost.rows);
  cost.seconds += weight * (seconds - cost.seconds);

  const double plain = step_seconds(step.decoding);
  if (!has_budget_) budget_ = kFirstBudget * plain;
  has_budget_ = true;
  if (step.drafted == 0) {
    budget_ += kAllowance * plain - step.draft_seconds;
  } else {
    const double worth =
        plain * static_cast<double>(step.said) / static_cast<double>(step.decoding);
    budget_ += worth - seconds - step.draft_seconds;
  }
  budget_ = std::clamp(budget_, -kLargestBudget * plain, kLargestBudget * plain);
}

}  // namespace fathom

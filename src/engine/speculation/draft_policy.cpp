#include "engine/speculation/draft_policy.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace fathom {
namespace {

constexpr double kWeight = 0.1;  // of a new measurement of time
constexpr double kFade = 0.95;   // of what is known of acceptance, with each token looked at
// Before anything is known: most drafts are accepted, and each costs a tenth of a step.
constexpr double kFirstHits = 2.1;
constexpr double kFirstTries = 3;
constexpr double kFirstSlope = 0.1;
// In plain steps: what may be lost before anything is known, and how much may be saved up.
constexpr double kFirstBudget = 2;
constexpr double kLargestBudget = 6;
constexpr int64_t kShortestPause = 8;
constexpr int64_t kLongestPause = 128;
// A plain step now and then keeps what it costs up to date.
constexpr int64_t kPlainEvery = 64;
// While drafting does not pay, attempts are this long: enough to see whether it would.
constexpr int64_t kAttempt = 2;

}  // namespace

void DraftPolicy::Mean::add(double sample) {
  // Another program may have taken the core for a while: no sample counts for more than twice what
  // is known.
  if (count > 2) sample = std::min(sample, 2 * value);
  ++count;
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(count));
  value += weight * (sample - value);
}

DraftPolicy::DraftPolicy(int64_t most)
    : most_(most), hits_(kFirstHits), tries_(kFirstTries), pause_(kShortestPause) {
  FATHOM_ASSERT(most >= 0 && most <= kMostTokens);
}

double DraftPolicy::verify_cost(int64_t drafted) const {
  const auto at = [this](int64_t k) { return verify_seconds_[static_cast<size_t>(k)]; };
  if (at(drafted).count > 0) return at(drafted).value;
  int64_t below = drafted;
  while (at(below).count == 0) --below;  // plain steps have been measured
  int64_t above = drafted;
  while (above <= most_ && at(above).count == 0) ++above;
  double slope = kFirstSlope * at(0).value;
  if (above <= most_) {
    slope = (at(above).value - at(below).value) / static_cast<double>(above - below);
  } else if (below > 0) {
    slope = std::max(0.0, at(below).value - at(0).value) / static_cast<double>(below);
  }
  return at(below).value + slope * static_cast<double>(drafted - below);
}

double DraftPolicy::step_cost(int64_t drafted) const {
  return verify_cost(drafted) + static_cast<double>(drafted) * draft_seconds_.value;
}

double DraftPolicy::tokens_of(int64_t drafted) const {
  const double accepted = hits_ / tries_;
  double tokens = 1;
  double reached = 1;
  for (int64_t i = 0; i < drafted; ++i) tokens += reached *= accepted;
  return tokens;
}

int64_t DraftPolicy::best_length() const {
  // Lengths far from those measured may cost anything: go there by doubling.
  int64_t known = most_;
  while (known > 0 && verify_seconds_[static_cast<size_t>(known)].count == 0) --known;
  const int64_t longest = std::min(most_, std::max(kAttempt, 2 * known));
  int64_t best = 0;
  double best_rate = 1 / step_cost(0);
  for (int64_t k = 1; k <= longest; ++k) {
    const double rate = tokens_of(k) / step_cost(k);
    if (rate > best_rate) {
      best = k;
      best_rate = rate;
    }
  }
  return best;
}

int64_t DraftPolicy::next() const {
  const Mean& plain = verify_seconds_[0];
  if (most_ == 0 || plain.count == 0 || since_plain_ >= kPlainEvery) return 0;
  int64_t length = best_length();
  if (length == 0) {
    if (since_draft_ < pause_) return 0;
    length = std::min(kAttempt, most_);
  }
  // At worst none is accepted.
  while (length > 0 && step_cost(length) - plain.value > budget_) --length;
  return length;
}

void DraftPolicy::record(const Step& step) {
  FATHOM_ASSERT(step.drafted <= kMostTokens && step.accepted <= step.drafted);
  Mean& mean = verify_seconds_[static_cast<size_t>(step.drafted)];
  const bool first_plain = step.drafted == 0 && mean.count == 0;
  mean.add(step.step_seconds);
  const double plain = verify_seconds_[0].value;
  if (first_plain) budget_ = kFirstBudget * plain;
  if (step.drafted > 0) {
    draft_seconds_.add(step.draft_seconds / static_cast<double>(step.drafted));
    const int64_t looked_at = std::min(step.accepted + 1, step.drafted);
    const double fade = std::pow(kFade, static_cast<double>(looked_at));
    hits_ = fade * hits_ + static_cast<double>(step.accepted);
    tries_ = fade * tries_ + static_cast<double>(looked_at);
    since_draft_ = 0;
    ++since_plain_;
  } else {
    since_plain_ = 0;
    ++since_draft_;
  }
  const double worth = static_cast<double>(step.accepted + 1) * plain;
  budget_ += step.drafted == 0 ? kAllowance * plain - step.draft_seconds
                               : worth - step.step_seconds - step.draft_seconds;
  budget_ = std::min(budget_, kLargestBudget * plain);
  if (step.drafted > 0 && plain > 0) {
    pause_ = best_length() > 0 ? kShortestPause : std::min(2 * pause_, kLongestPause);
  }
}

}  // namespace fathom

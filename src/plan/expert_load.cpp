#include "plan/expert_load.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/step_cost.h"

namespace fathom::plan {
namespace {

// From so large a variance on, a normal distribution is as good.
constexpr double kLargeVariance = 100;
// So many standard deviations beyond the mean hold everything that matters.
constexpr double kReach = 9;

double normal_below(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

// Expected maximum of `count` independent standard normal numbers.
double expected_most_normal(int count) {
  constexpr double kStep = 1.0 / 16;
  double most = -kReach;
  for (double x = -kReach + kStep / 2; x < kReach; x += kStep) {
    most += kStep * (1 - std::pow(normal_below(x), count));
  }
  return most;
}

double log_binomial(double trials, double chance, double x) {
  return std::lgamma(trials + 1) - std::lgamma(x + 1) - std::lgamma(trials - x + 1) +
         x * std::log(chance) + (trials - x) * std::log1p(-chance);
}

}  // namespace

double expected_most_binomial(double trials, double chance, int count) {
  if (chance <= 0 || trials <= 0) return 0;
  if (chance >= 1) return trials;
  const double mean = trials * chance;
  const double deviation = std::sqrt(mean * (1 - chance));
  if (deviation * deviation > kLargeVariance) {
    return std::min(trials, mean + deviation * expected_most_normal(count));
  }
  // Below `from` nothing is likely: there 1 - F^count is 1.
  const double from = std::max(0.0, std::floor(mean - kReach * deviation));
  const double until = std::min(trials, std::ceil(mean + kReach * deviation + 10));
  double most = from;
  double here = std::exp(log_binomial(trials, chance, from));
  double below = 0;
  for (double x = from; x < until; ++x) {
    below = std::min(1.0, below + here);
    most += 1 - std::pow(below, count);
    here *= (trials - x) / (x + 1) * chance / (1 - chance);
  }
  return most;
}

ExpertLoad::ExpertLoad(double experts, double per_token, int devices)
    : experts_(experts), per_token_(per_token), devices_(devices) {
  for (size_t i = 0; i < kKnots; ++i) {
    const double rows = std::exp2(static_cast<double>(i));
    const double choices = rows * per_token;
    // The maximum is no less than the mean, nor than one of all choices.
    const double most = std::max(std::ceil(choices / devices),
                                 expected_most_binomial(choices, 1.0 / devices, devices));
    choices_[i] = most / (choices / devices);
    const double distinct = expected_distinct_experts(experts, per_token, rows);
    distinct_[i] = expected_most_binomial(experts / devices, distinct / experts, devices) /
                   (distinct / devices);
  }
}

ExpertLoad::Most ExpertLoad::most(double rows) const {
  if (rows <= 0) return {};
  Most mean{.choices = rows * per_token_ / devices_,
            .experts = expected_distinct_experts(experts_, per_token_, rows) / devices_};
  if (devices_ <= 1) return mean;
  const double place = std::clamp(std::log2(rows), 0.0, static_cast<double>(kKnots - 1));
  const size_t low = std::min(static_cast<size_t>(place), kKnots - 2);
  const double share = place - static_cast<double>(low);
  const auto at = [&](const std::array<double, kKnots>& over) {
    return over[low] + share * (over[low + 1] - over[low]);
  };
  return {.choices = mean.choices * at(choices_),
          .experts = std::min(experts_ / devices_, mean.experts * at(distinct_))};
}

}  // namespace fathom::plan

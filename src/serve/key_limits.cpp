#include "serve/key_limits.h"

#include <algorithm>
#include <cmath>

namespace fathom::serve {
namespace {

constexpr double kMinute = 60;

}  // namespace

KeyLimits KeyLimits::or_else(const KeyLimits& other) const {
  const auto choose = [](int64_t own, int64_t else_one) { return own > 0 ? own : else_one; };
  return {.max_concurrent = choose(max_concurrent, other.max_concurrent),
          .requests_per_minute = choose(requests_per_minute, other.requests_per_minute),
          .tokens_per_minute = choose(tokens_per_minute, other.tokens_per_minute)};
}

double MinuteBucket::level(Time now) const {
  const double seconds = std::chrono::duration<double>(now - changed_).count();
  return std::min(allowance_, level_ + std::max(seconds, 0.0) * allowance_ / kMinute);
}

void MinuteBucket::set_allowance(int64_t per_minute, Time now) {
  const auto allowance = static_cast<double>(per_minute);
  if (allowance == allowance_) return;
  const double spent = allowance_ > 0 ? allowance_ - level(now) : 0;
  allowance_ = allowance;
  level_ = allowance - spent;
  changed_ = now;
}

void MinuteBucket::spend(int64_t amount, Time now) {
  level_ = level(now) - static_cast<double>(amount);
  changed_ = now;
}

int64_t MinuteBucket::left(Time now) const {
  // The tolerance is for sums of parts that make a whole.
  return static_cast<int64_t>(std::floor(level(now) + 1e-6));
}

double MinuteBucket::seconds_until(int64_t amount, Time now) const {
  const double missing = static_cast<double>(amount) - level(now);
  return missing <= 0 ? 0 : missing * kMinute / allowance_;
}

double MinuteBucket::seconds_until_full(Time now) const {
  return (allowance_ - level(now)) * kMinute / allowance_;
}

}  // namespace fathom::serve

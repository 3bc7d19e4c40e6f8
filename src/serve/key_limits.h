// What one API key may do: requests open at a time, and requests and tokens in a minute.
//
// The last two are buckets that hold a minute's allowance and fill evenly (token bucket), so that a
// client may spend it at once but not twice. Tokens are known when an answer has ended: the bucket
// then falls below zero if need be, and the next request waits until it is above again.
#pragma once

#include <chrono>
#include <cstdint>

namespace fathom::serve {

// 0: no limit.
struct KeyLimits {
  int64_t max_concurrent = 0;
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;  // of prompts and answers, also those from the prefix cache

  // These, and where they are 0 those of `other`.
  KeyLimits or_else(const KeyLimits& other) const;
  bool any() const {
    return max_concurrent > 0 || requests_per_minute > 0 || tokens_per_minute > 0;
  }
};

// One thread at a time.
class MinuteBucket {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Full at first. A changed allowance keeps what was spent.
  void set_allowance(int64_t per_minute, Time now);
  void spend(int64_t amount, Time now);

  int64_t left(Time now) const;  // whole units; below 0 where more was spent than there was
  double seconds_until(int64_t amount, Time now) const;  // until so much is left
  double seconds_until_full(Time now) const;

 private:
  double level(Time now) const;

  double allowance_ = 0;
  double level_ = 0;  // at changed_
  Time changed_;
};

}  // namespace fathom::serve

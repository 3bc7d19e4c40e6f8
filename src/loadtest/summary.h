// What a run comes to: percentiles, rates, errors by kind, fairness; as text and as JSON.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loadtest/run.h"

namespace fathom::loadtest {

// Of some values; zeros where there are none. Percentiles are interpolated as numpy does.
struct Spread {
  int64_t count = 0;
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double most = 0;
};
Spread spread_of(std::vector<double> values);

struct Failures {
  int64_t count = 0;
  std::string example;
};

struct Summary {
  double seconds = 0;  // that tokens and answers are counted in
  int64_t requests = 0;
  int64_t answered = 0;
  std::map<std::string, Failures> errors;  // by kind
  // Of answered requests, as far as the server counts them; `counted_by_server` of the answers'.
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  bool counted_by_server = false;
  double output_tokens_per_second = 0;
  double prompt_tokens_per_second = 0;
  double answers_per_second = 0;
  // In seconds. Of answered requests: from when they were due to the first text; the mean time
  // between two tokens of a stream, (last - first) / (tokens - 1); the time between two events of a
  // stream; and the whole.
  Spread first_token;
  Spread inter_token;
  Spread gap;
  Spread duration;
  // The slowest session's time for a token over the median's; in an open loop each request is a
  // session. 0: no session was answered.
  double slowest_over_median = 0;
  int64_t sessions = 0;
  int64_t sessions_without_answer = 0;
};

// `duration`: seconds after which no request began, 0: there was no such bound. Then tokens are
// counted up to that time, so that the last answers, which run alone, do not lower the rate.
Summary summarise(const RunLog& log, double duration);

// Output tokens in each of `bins` equal parts of `seconds`. A stream's tokens are spread evenly
// over its events.
std::vector<double> tokens_over_time(const RunLog& log, double seconds, size_t bins);

nlohmann::ordered_json to_json(const Summary& summary);
std::string to_text(const Summary& summary);

}  // namespace fathom::loadtest

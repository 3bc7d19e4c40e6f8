// What happened to one request. Times are in seconds after the start of the run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fathom::loadtest {

struct Record {
  int64_t session = 0;
  uint64_t index = 0;  // of the request in the workload
  double begun = 0;    // when it was due: the sending, or what kept it from being sent, comes after
  double ended = 0;
  std::vector<double> arrivals;  // of each chunk with text

  // Empty: answered. Otherwise a kind to count by, such as "HTTP 429" or "broken off", and what was
  // said about it.
  std::string error;
  std::string detail;
  int status = 0;          // of the HTTP response; 0: there was none
  double retry_after = 0;  // seconds, where the server said so

  // As the server counts them; -1: it does not say.
  int64_t prompt_tokens = -1;
  int64_t cached_tokens = -1;
  int64_t completion_tokens = -1;

  bool answered() const { return error.empty(); }
  // Of the answer, as far as it came.
  int64_t tokens() const {
    return completion_tokens >= 0 ? completion_tokens : static_cast<int64_t>(arrivals.size());
  }
};

}  // namespace fathom::loadtest

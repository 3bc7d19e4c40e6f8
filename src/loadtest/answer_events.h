// What the events of a streamed answer say: when text came, how many tokens the server counted,
// whether the answer is over. Understands chat completions and completions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loadtest/sse_reader.h"

namespace fathom::loadtest {

struct AnswerEvents {
  std::vector<double> arrivals;  // times of the events with text, reasoning or tool calls
  int64_t prompt_tokens = -1;    // -1: not said
  int64_t cached_tokens = -1;
  int64_t completion_tokens = -1;
  bool finished = false;  // a finish_reason was given
  bool done = false;      // "[DONE]" has come
  // "bad event" or "error event", with what was wrong.
  std::string error;
  std::string detail;

  // Takes the next bytes, which came at `now`. False once there is an error.
  bool feed(std::string_view bytes, double now);

 private:
  void take(std::string_view data, double now);
  SseReader reader_;
};

}  // namespace fathom::loadtest

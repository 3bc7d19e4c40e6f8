// Server-sent events as they come in, in pieces cut anywhere (WHATWG HTML, 9.2 "Server-sent
// events"): the data of each event; names, ids and comments are of no interest here.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace fathom::loadtest {

class SseReader {
 public:
  static constexpr size_t kMostBytes = size_t{4} << 20;  // of one event

  // Calls `on_data` for each event that is complete. False once an event is too large.
  bool feed(std::string_view bytes, const std::function<void(std::string_view)>& on_data);

 private:
  void take_line(std::string_view line, const std::function<void(std::string_view)>& on_data);

  std::string line_;  // not ended yet
  std::string data_;  // of the event that is not ended yet
  bool has_data_ = false;
  bool after_return_ = false;  // a line feed now belongs to the line's end before
};

}  // namespace fathom::loadtest

// The server's log on standard error: one line for each event, as text or JSON. Lines are queued
// and written by a thread of their own; when nobody takes them, the oldest are dropped, so that a
// stuck terminal never holds up an answer. What users write is
// logged only where the operator wants it (ServeOptions::log_prompts). Any thread.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

namespace fathom::serve {

enum class LogFormat { kText, kJson, kNone };

class EventLog {
 public:
  explicit EventLog(LogFormat format);
  ~EventLog();  // writes what is queued

  using Fields = nlohmann::ordered_json;  // an object
  void info(std::string_view event, const Fields& fields);
  void error(std::string_view event, const Fields& fields);

 private:
  struct Impl;
  std::string line(std::string_view event, const Fields& fields) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::serve

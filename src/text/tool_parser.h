// Tells tool calls from text while an answer grows. What push() returns is never taken back and
// does not depend on how the text was cut into pieces: text is held while it may be the beginning
// of a call, then a call's name comes at once and its arguments as they grow.
//
// Models make mistakes. A call that breaks before its name is known comes out as text. One that
// breaks later ends there, with the arguments so far; the rest of it is dropped up to its end mark.
// White space around calls belongs to nothing. One answer, one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_scanner.h"
#include "text/tool_format.h"

namespace fathom {

struct ToolEvent {
  enum class Kind : uint8_t {
    kText,
    kCall,       // a call begins; text is the tool's name
    kArguments,  // the next piece of its arguments' JSON
  };
  Kind kind = Kind::kText;
  std::string text;
  bool operator==(const ToolEvent&) const = default;
};

class ToolParser {
 public:
  // names: of the tools there are; with kJson, what calls none of them is text. most_calls: those
  // after it are dropped.
  ToolParser(ToolFormat format, std::vector<std::string> names, int64_t most_calls = 128);

  // Neighbours of a kind come as one event, but for calls.
  std::vector<ToolEvent> push(std::string_view text);
  std::vector<ToolEvent> finish();  // the answer is over
  int64_t calls() const { return std::min(calls_, most_calls_); }

 private:
  enum class State {
    kText,
    kCallObject,   // in {"name": ..., "arguments": ...}
    kAfterObject,  // behind it, before the end mark
    kBroken,       // in a call whose name is told: nothing counts up to a mark
    kSection,      // DeepSeek: between calls,
    kHeader,       // before a call's separator,
    kName,         // between separator and arguments,
    kArguments,    // in them
    kAfterArguments,
  };

  bool step(std::vector<ToolEvent>& events);
  bool read_text(std::vector<ToolEvent>& events);
  bool begin_answer(std::vector<ToolEvent>& events);
  bool read_object(std::vector<ToolEvent>& events);
  bool leave_object();
  bool skip_broken();
  bool read_section(std::vector<ToolEvent>& events);
  bool read_header(std::vector<ToolEvent>& events);
  bool read_name(std::vector<ToolEvent>& events);
  bool read_arguments(std::vector<ToolEvent>& events);
  bool leave_arguments();

  std::vector<std::string_view> begin_marks() const;
  std::vector<std::string_view> end_marks() const;
  void begin_call(std::vector<ToolEvent>& events, const std::string& name);
  void add(std::vector<ToolEvent>& events, ToolEvent::Kind kind, std::string_view text) const;
  void give_back(std::vector<ToolEvent>& events);
  bool break_call(std::vector<ToolEvent>& events);

  const ToolFormat format_;
  const std::vector<std::string> names_;
  const int64_t most_calls_;

  State state_ = State::kText;
  bool at_beginning_ = true;  // nothing but white space so far
  bool after_call_ = false;
  std::string held_;    // not decided yet
  std::string raw_;     // of the call that is read, while it may still turn out to be text
  std::string header_;  // DeepSeek's, before the separator
  CallScanner object_;
  JsonValueScanner arguments_;
  bool named_ = false;  // the call's name is told
  int64_t calls_ = 0;
};

}  // namespace fathom

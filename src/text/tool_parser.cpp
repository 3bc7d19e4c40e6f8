#include "text/tool_parser.h"

#include <algorithm>
#include <utility>

namespace fathom {
namespace {

using Kind = ToolEvent::Kind;

constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kLongestName = 256;
constexpr size_t kLongestMark = 64;

struct Found {
  size_t at = std::string_view::npos;
  size_t size = 0;
};

Found first_of(std::string_view text, const std::vector<std::string_view>& marks) {
  Found first;
  for (const std::string_view mark : marks) {
    const size_t at = text.find(mark);
    if (at < first.at) first = {.at = at, .size = mark.size()};
  }
  return first;
}

// The bytes at the end of a text that may be the beginning of a mark.
size_t undecided_suffix(std::string_view text, const std::vector<std::string_view>& marks) {
  size_t longest = 0;
  for (const std::string_view mark : marks) {
    for (size_t n = std::min(text.size(), mark.size() - 1); n > longest; --n) {
      if (text.ends_with(mark.substr(0, n))) longest = n;
    }
  }
  return longest;
}

bool may_become(std::string_view text, const std::vector<std::string_view>& marks) {
  return std::ranges::any_of(marks, [&](std::string_view mark) { return mark.starts_with(text); });
}

std::string_view without_space_at_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

std::string_view without_space_at_begin(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
}

bool is_deepseek(ToolFormat format) {
  return format == ToolFormat::kDeepSeek || format == ToolFormat::kDeepSeekV31;
}

}  // namespace

ToolParser::ToolParser(ToolFormat format, std::vector<std::string> names, int64_t most_calls)
    : format_(format), names_(std::move(names)), most_calls_(most_calls) {}

std::vector<ToolEvent> ToolParser::push(std::string_view text) {
  held_ += text;
  std::vector<ToolEvent> events;
  while (step(events)) {
  }
  return events;
}

std::vector<ToolEvent> ToolParser::finish() {
  std::vector<ToolEvent> events;
  switch (state_) {
    case State::kText:
      add(events, Kind::kText, after_call_ ? without_space_at_begin(held_) : held_);
      break;
    case State::kCallObject:
    case State::kSection:
    case State::kHeader:
    case State::kName:
      if (raw_.empty()) break;  // the call is told, or the section's calls are
      give_back(events);
      add(events, Kind::kText, held_);
      break;
    case State::kAfterObject:
    case State::kBroken:
    case State::kArguments:
    case State::kAfterArguments:
      break;
  }
  held_.clear();
  state_ = State::kText;
  return events;
}

// Consumes what is certain of held_ in the present state; false: more text is needed.
bool ToolParser::step(std::vector<ToolEvent>& events) {
  switch (state_) {
    case State::kText:
      return format_ == ToolFormat::kJson ? begin_answer(events) : read_text(events);
    case State::kCallObject:
      return read_object(events);
    case State::kAfterObject:
      return leave_object();
    case State::kBroken:
      return skip_broken();
    case State::kSection:
      return read_section(events);
    case State::kHeader:
      return read_header(events);
    case State::kName:
      return read_name(events);
    case State::kArguments:
      return read_arguments(events);
    case State::kAfterArguments:
      return leave_arguments();
  }
  return false;
}

std::vector<std::string_view> ToolParser::begin_marks() const {
  if (is_deepseek(format_)) return {kDeepSeekCallsBegin, kDeepSeekCallBegin};
  return {kHermesBegin};
}

std::vector<std::string_view> ToolParser::end_marks() const {
  if (is_deepseek(format_)) return {kDeepSeekCallEnd, kDeepSeekCallsEnd};
  return {kHermesEnd};
}

bool ToolParser::read_text(std::vector<ToolEvent>& events) {
  if (after_call_) {
    held_.erase(0, std::min(held_.find_first_not_of(kSpace), held_.size()));
    if (held_.empty()) return false;
  }
  const auto marks = begin_marks();
  const Found mark = first_of(held_, marks);
  const std::string_view before = std::string_view(held_).substr(0, mark.at);
  std::string_view certain = before;
  if (mark.at == std::string::npos) {
    certain.remove_suffix(undecided_suffix(held_, marks));
  }
  // The white space before a call is not part of the text.
  certain = without_space_at_end(certain);
  if (!certain.empty()) after_call_ = false;
  add(events, Kind::kText, certain);
  if (mark.at == std::string::npos) {
    held_.erase(0, certain.size());
    return false;
  }
  raw_ = held_.substr(certain.size(), mark.at + mark.size - certain.size());
  const bool section = std::string_view(held_).substr(mark.at, mark.size) == kDeepSeekCallsBegin;
  held_.erase(0, mark.at + mark.size);
  named_ = false;
  object_ = {};
  header_.clear();
  state_ = !is_deepseek(format_) ? State::kCallObject : section ? State::kSection : State::kHeader;
  return true;
}

// Llama 3: an answer is one call or more, or text.
bool ToolParser::begin_answer(std::vector<ToolEvent>& events) {
  if (!at_beginning_) {
    if (after_call_) held_.erase(0, held_.size() - without_space_at_begin(held_).size());
    if (!held_.empty()) after_call_ = false;
    add(events, Kind::kText, held_);
    held_.clear();
    return false;
  }
  std::string_view rest = without_space_at_begin(held_);
  if (rest.starts_with(kPythonTag)) {
    rest = without_space_at_begin(rest.substr(kPythonTag.size()));
  } else if (!rest.empty() && kPythonTag.starts_with(rest)) {
    return false;
  }
  if (rest.empty()) return false;
  at_beginning_ = false;
  if (rest.front() != '{') return true;
  raw_ = held_.substr(0, held_.size() - rest.size());
  held_.erase(0, raw_.size());
  named_ = false;
  object_ = {};
  state_ = State::kCallObject;
  return true;
}

bool ToolParser::read_object(std::vector<ToolEvent>& events) {
  for (size_t i = 0; i < held_.size(); ++i) {
    const CallScanner::State state = object_.feed(held_[i]);
    const bool broken = state == CallScanner::State::kBroken;
    if (!named_ && !broken) {
      raw_ += held_[i];
      if (object_.has_name()) {
        if (format_ == ToolFormat::kJson &&
            std::ranges::find(names_, object_.name()) == names_.end()) {
          held_.erase(0, i + 1);
          return break_call(events);
        }
        begin_call(events, object_.name());
      }
    }
    if (named_) add(events, Kind::kArguments, object_.take_arguments());
    if (broken && !named_) {
      held_.erase(0, i);
      return break_call(events);
    }
    if (broken || state == CallScanner::State::kDone) {
      held_.erase(0, i + 1);
      state_ = broken ? State::kBroken : State::kAfterObject;
      return true;
    }
  }
  held_.clear();
  return false;
}

// Before the end mark models like to write a bracket too many.
bool ToolParser::leave_object() {
  held_.erase(0, std::min(held_.find_first_not_of(" \t\r\n}"), held_.size()));
  if (held_.empty()) return false;
  after_call_ = true;
  if (format_ == ToolFormat::kJson) {
    at_beginning_ = held_.front() == ';';
    if (at_beginning_) held_.erase(0, 1);
    state_ = State::kText;
    return true;
  }
  if (held_.starts_with(kHermesEnd)) {
    held_.erase(0, kHermesEnd.size());
  } else if (may_become(held_, {kHermesEnd})) {
    return false;
  }
  state_ = State::kText;
  return true;
}

bool ToolParser::skip_broken() {
  const auto ends = end_marks();
  std::vector<std::string_view> marks = begin_marks();
  marks.insert(marks.end(), ends.begin(), ends.end());
  const Found mark = first_of(held_, marks);
  if (mark.at == std::string::npos) {
    held_.erase(0, held_.size() - undecided_suffix(held_, marks));
    return false;
  }
  const std::string found = held_.substr(mark.at, mark.size);
  const bool is_end = std::ranges::find(ends, found) != ends.end();
  held_.erase(0, mark.at + (is_end ? mark.size : 0));
  after_call_ = true;
  state_ = found == kDeepSeekCallEnd ? State::kSection : State::kText;
  return true;
}

bool ToolParser::read_section(std::vector<ToolEvent>& events) {
  const std::string_view rest = without_space_at_begin(held_);
  if (rest.starts_with(kDeepSeekCallBegin)) {
    const size_t size = held_.size() - rest.size() + kDeepSeekCallBegin.size();
    raw_ += held_.substr(0, size);
    held_.erase(0, size);
    header_.clear();
    named_ = false;
    state_ = State::kHeader;
    return true;
  }
  if (rest.starts_with(kDeepSeekCallsEnd)) {
    held_.erase(0, held_.size() - rest.size() + kDeepSeekCallsEnd.size());
    after_call_ = true;
    raw_.clear();
    state_ = State::kText;
    return true;
  }
  if (rest.empty() || may_become(rest, {kDeepSeekCallBegin, kDeepSeekCallsEnd})) return false;
  // No call, but text.
  return break_call(events);
}

bool ToolParser::read_header(std::vector<ToolEvent>& events) {
  const Found mark = first_of(
      held_, {kDeepSeekSeparator, kDeepSeekCallEnd, kDeepSeekCallsEnd, kDeepSeekCallBegin});
  if (mark.at == std::string::npos && held_.size() <= kLongestName + kLongestMark) return false;
  if (mark.at > kLongestName ||
      !std::string_view(held_).substr(mark.at).starts_with(kDeepSeekSeparator)) {
    return break_call(events);
  }
  header_ = held_.substr(0, mark.at);
  raw_ += held_.substr(0, mark.at + mark.size);
  held_.erase(0, mark.at + mark.size);
  state_ = State::kName;
  return true;
}

// V3.1: the header is the name, and the arguments follow. Before: the header is "function", and a
// line with the name and one with the fence follow.
bool ToolParser::read_name(std::vector<ToolEvent>& events) {
  const std::string_view rest = without_space_at_begin(held_);
  if (rest.empty()) return false;
  std::string_view name = header_;
  size_t open = held_.size() - rest.size();
  if (rest.front() != '{') {
    const Found line = first_of(rest, {"\n", kDeepSeekCallEnd, kDeepSeekCallsEnd});
    if (line.at == std::string::npos && rest.size() <= kLongestName + kLongestMark) return false;
    if (line.at > kLongestName) return break_call(events);
    name = rest.substr(0, line.at);
    open = held_.find_first_not_of("`json \t\r\n", open + line.at);
    if (open == std::string::npos) return false;
  }
  name = without_space_at_begin(without_space_at_end(name));
  if (name.empty()) return break_call(events);
  const bool has_arguments = held_[open] == '{';
  if (!has_arguments && may_become(std::string_view(held_).substr(open), end_marks())) return false;
  begin_call(events, std::string(name));
  held_.erase(0, open);
  arguments_ = {};
  state_ = has_arguments ? State::kArguments : State::kBroken;
  if (!has_arguments) add(events, Kind::kArguments, "{}");
  return true;
}

bool ToolParser::read_arguments(std::vector<ToolEvent>& events) {
  for (size_t i = 0; i < held_.size(); ++i) {
    if (arguments_.feed(held_[i]) != JsonValueScanner::Step::kLast) continue;
    add(events, Kind::kArguments, std::string_view(held_).substr(0, i + 1));
    held_.erase(0, i + 1);
    state_ = State::kAfterArguments;
    return true;
  }
  add(events, Kind::kArguments, held_);
  held_.clear();
  return false;
}

bool ToolParser::leave_arguments() {
  held_.erase(0, std::min(held_.find_first_not_of(" \t\r\n`}"), held_.size()));
  if (held_.starts_with(kDeepSeekCallEnd)) {
    held_.erase(0, kDeepSeekCallEnd.size());
  } else if (may_become(held_, {kDeepSeekCallEnd})) {
    return false;
  }
  state_ = State::kSection;
  return true;
}

void ToolParser::begin_call(std::vector<ToolEvent>& events, const std::string& name) {
  named_ = true;
  raw_.clear();
  after_call_ = true;
  ++calls_;
  add(events, Kind::kCall, name);
}

void ToolParser::add(std::vector<ToolEvent>& events, Kind kind, std::string_view text) const {
  if (text.empty() && kind != Kind::kCall) return;
  if (kind != Kind::kText && calls_ > most_calls_) return;
  if (kind != Kind::kCall && !events.empty() && events.back().kind == kind) {
    events.back().text += text;
  } else {
    events.push_back({.kind = kind, .text = std::string(text)});
  }
}

// What looked like a call is text.
void ToolParser::give_back(std::vector<ToolEvent>& events) {
  add(events, Kind::kText, raw_);
  if (!raw_.empty()) after_call_ = false;
  raw_.clear();
}

// So is what follows, until a call begins.
bool ToolParser::break_call(std::vector<ToolEvent>& events) {
  give_back(events);
  state_ = State::kText;
  return true;
}

}  // namespace fathom

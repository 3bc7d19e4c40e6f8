#include "engine/reasoning_filter.h"

#include <algorithm>
#include <utility>

namespace fathom {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr std::string_view kSpace = " \t\r\n";

void append(std::vector<ReasoningFilter::Part>& parts, std::string_view text, bool reasoning) {
  if (text.empty()) return;
  if (!parts.empty() && parts.back().reasoning == reasoning) {
    parts.back().text += text;
  } else {
    parts.push_back({std::string(text), reasoning});
  }
}

// How much of `text` is certainly before the closing tag and the white space that precedes it.
size_t certain_reasoning(std::string_view text) {
  size_t end = text.size();
  for (size_t n = std::min(text.size(), kClose.size() - 1); n > 0; --n) {
    if (text.ends_with(kClose.substr(0, n))) {
      end -= n;
      break;
    }
  }
  const size_t last_word = text.substr(0, end).find_last_not_of(kSpace);
  return last_word == std::string_view::npos ? 0 : last_word + 1;
}

}  // namespace

ReasoningFilter::ReasoningFilter(bool starts_inside)
    : state_(starts_inside ? State::kReasoningBegin : State::kBeginning) {}

bool ReasoningFilter::step(std::vector<Part>& parts) {
  switch (state_) {
    case State::kBeginning: {
      const size_t word = held_.find_first_not_of(kSpace);
      if (word == std::string::npos) return false;
      const std::string_view text = std::string_view(held_).substr(word);
      if (text.starts_with(kOpen)) {
        held_.erase(0, word + kOpen.size());
        state_ = State::kReasoningBegin;
        return true;
      }
      if (kOpen.starts_with(text)) return false;
      state_ = State::kAnswer;
      return true;
    }
    case State::kReasoningBegin: {
      held_.erase(0, std::min(held_.find_first_not_of(kSpace), held_.size()));
      if (held_.empty()) return false;
      // Some models repeat the tag that the template already wrote.
      if (held_.starts_with(kOpen)) {
        held_.erase(0, kOpen.size());
        return true;
      }
      if (kOpen.starts_with(held_)) return false;
      state_ = State::kReasoning;
      return true;
    }
    case State::kReasoning: {
      const size_t close = held_.find(kClose);
      if (close == std::string::npos) {
        const size_t certain = certain_reasoning(held_);
        append(parts, std::string_view(held_).substr(0, certain), true);
        held_.erase(0, certain);
        return false;
      }
      const std::string_view before = std::string_view(held_).substr(0, close);
      const size_t last_word = before.find_last_not_of(kSpace);
      append(parts, before.substr(0, last_word == std::string_view::npos ? 0 : last_word + 1),
             true);
      held_.erase(0, close + kClose.size());
      state_ = State::kAnswerBegin;
      return true;
    }
    case State::kAnswerBegin: {
      held_.erase(0, std::min(held_.find_first_not_of(kSpace), held_.size()));
      if (held_.empty()) return false;
      state_ = State::kAnswer;
      return true;
    }
    case State::kAnswer:
      append(parts, held_, false);
      held_.clear();
      return false;
  }
  return false;
}

std::vector<ReasoningFilter::Part> ReasoningFilter::push(std::string_view piece) {
  held_ += piece;
  std::vector<Part> parts;
  while (step(parts)) {
  }
  return parts;
}

std::vector<ReasoningFilter::Part> ReasoningFilter::finish() {
  std::vector<Part> parts;
  append(parts, held_, state_ == State::kReasoning || state_ == State::kReasoningBegin);
  held_.clear();
  return parts;
}

}  // namespace fathom

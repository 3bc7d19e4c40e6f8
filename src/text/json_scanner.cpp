#include "text/json_scanner.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace fathom {
namespace {

using Json = nlohmann::json;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::optional<std::string> as_string(const std::string& raw) {
  const Json json = Json::parse(raw, nullptr, false);
  return json.is_string() ? std::optional(json.get<std::string>()) : std::nullopt;
}

}  // namespace

JsonValueScanner::Step JsonValueScanner::feed(char c) {
  if (!begun_) {
    begun_ = true;
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      depth_ = 1;
    } else {
      scalar_ = true;
    }
    return Step::kInside;
  }
  if (scalar_) {
    return c == ',' || c == '}' || c == ']' || is_space(c) ? Step::kBehind : Step::kInside;
  }
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      if (depth_ == 0) return Step::kLast;
    }
    return Step::kInside;
  }
  if (c == '"') in_string_ = true;
  if (c == '{' || c == '[') ++depth_;
  if (c == '}' || c == ']') --depth_;
  return depth_ == 0 ? Step::kLast : Step::kInside;
}

CallScanner::State CallScanner::feed(char c) {
  switch (place_) {
    case Place::kStart:
      if (is_space(c)) return State::kOpen;
      place_ = Place::kBeforeKey;
      return c == '{' ? State::kOpen : State::kBroken;
    case Place::kBeforeKey:
      if (is_space(c)) return State::kOpen;
      if (c == '}' && first_key_) return has_name_ ? State::kDone : State::kBroken;
      if (c != '"') return State::kBroken;
      first_key_ = false;
      raw_ = c;
      value_ = {};
      value_.feed(c);
      place_ = Place::kKey;
      return State::kOpen;
    case Place::kKey: {
      raw_ += c;
      if (value_.feed(c) != JsonValueScanner::Step::kLast) return State::kOpen;
      const auto key = as_string(raw_);
      if (!key) return State::kBroken;
      // The first of several counts.
      field_ = key == "name" && !has_name_                                      ? Field::kName
               : (key == "arguments" || key == "parameters") && !has_arguments_ ? Field::kArguments
                                                                                : Field::kOther;
      place_ = Place::kColon;
      return State::kOpen;
    }
    case Place::kColon:
      if (is_space(c)) return State::kOpen;
      place_ = Place::kBeforeValue;
      return c == ':' ? State::kOpen : State::kBroken;
    case Place::kBeforeValue:
      if (is_space(c)) return State::kOpen;
      if (c == ',' || c == '}' || c == ']' || c == ':') return State::kBroken;
      raw_.clear();
      value_ = {};
      streams_ = field_ == Field::kArguments && c == '{';
      place_ = Place::kValue;
      return feed_value(c);
    case Place::kValue:
      return feed_value(c);
    case Place::kAfterValue:
      if (is_space(c)) return State::kOpen;
      if (c == ',') {
        place_ = Place::kBeforeKey;
        return State::kOpen;
      }
      if (c != '}' || !has_name_) return State::kBroken;
      if (!has_arguments_) arguments_ = "{}";
      return State::kDone;
  }
  return State::kBroken;
}

CallScanner::State CallScanner::feed_value(char c) {
  const JsonValueScanner::Step step = value_.feed(c);
  if (step != JsonValueScanner::Step::kBehind) {
    if (streams_) {
      arguments_ += c;
    } else if (field_ != Field::kOther) {
      raw_ += c;
    }
  }
  if (step == JsonValueScanner::Step::kInside) return State::kOpen;
  place_ = Place::kAfterValue;
  if (end_value() == State::kBroken) return State::kBroken;
  return step == JsonValueScanner::Step::kBehind ? feed(c) : State::kOpen;
}

CallScanner::State CallScanner::end_value() {
  if (field_ == Field::kName) {
    auto name = as_string(raw_);
    if (!name || name->empty()) return State::kBroken;
    name_ = *std::move(name);
    has_name_ = true;
  } else if (field_ == Field::kArguments) {
    has_arguments_ = true;
    if (!streams_) {
      // Some models write their JSON as a string, or null for none.
      const auto text = as_string(raw_);
      arguments_ = text ? *text : raw_ == "null" ? "{}" : raw_;
    }
  }
  return State::kOpen;
}

}  // namespace fathom

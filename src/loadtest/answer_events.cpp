#include "loadtest/answer_events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/quote.h"

namespace fathom::loadtest {
namespace {

using Json = nlohmann::json;

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

bool is_text(const Json* value) {
  return value != nullptr && value->is_string() && !value->get_ref<const std::string&>().empty();
}

bool has_text(const Json& choice) {
  if (is_text(member(choice, "text"))) return true;
  const Json* delta = member(choice, "delta");
  if (delta == nullptr) return false;
  for (const char* name : {"content", "reasoning_content", "reasoning", "refusal"}) {
    if (is_text(member(*delta, name))) return true;
  }
  const Json* calls = member(*delta, "tool_calls");
  return calls != nullptr && calls->is_array() && !calls->empty();
}

int64_t count(const Json* object, const char* name) {
  const Json* value = object == nullptr ? nullptr : member(*object, name);
  return value != nullptr && value->is_number_integer() ? value->get<int64_t>() : -1;
}

}  // namespace

bool AnswerEvents::feed(std::string_view bytes, double now) {
  const bool fits = reader_.feed(bytes, [&](std::string_view data) { take(data, now); });
  if (!fits && error.empty()) {
    error = "bad event";
    detail = "an event is too large";
  }
  return error.empty();
}

void AnswerEvents::take(std::string_view data, double now) {
  if (!error.empty() || done) return;
  if (data == "[DONE]") {
    done = true;
    return;
  }
  const Json json = Json::parse(data, nullptr, false);
  if (!json.is_object()) {
    error = "bad event";
    detail = "no JSON object: " + in_quotes(data);
    return;
  }
  if (const Json* problem = member(json, "error"); problem != nullptr && !problem->is_null()) {
    error = "error event";
    const Json* message = member(*problem, "message");
    detail = in_quotes(is_text(message) ? message->get<std::string>() : problem->dump());
    return;
  }
  const Json* choices = member(json, "choices");
  if (choices != nullptr && choices->is_array()) {
    if (std::ranges::any_of(*choices, has_text)) arrivals.push_back(now);
    for (const Json& choice : *choices) {
      if (is_text(member(choice, "finish_reason"))) finished = true;
    }
  }
  const Json* usage = member(json, "usage");
  if (usage == nullptr || !usage->is_object()) return;
  prompt_tokens = std::max(prompt_tokens, count(usage, "prompt_tokens"));
  completion_tokens = std::max(completion_tokens, count(usage, "completion_tokens"));
  cached_tokens =
      std::max(cached_tokens, count(member(*usage, "prompt_tokens_details"), "cached_tokens"));
}

}  // namespace fathom::loadtest

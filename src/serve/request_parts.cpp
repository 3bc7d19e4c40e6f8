#include "serve/request_parts.h"

#include <charconv>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/quote.h"

namespace fathom::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMostPenalty = 2;
constexpr double kMostBias = 100;
constexpr size_t kMostStops = 16;
constexpr size_t kLongestStop = 1024;
constexpr size_t kMostMetadata = 16;
constexpr size_t kLongestMetadataName = 64;
constexpr size_t kLongestMetadata = 512;

std::optional<float> as_float(std::optional<double> value) {
  return value ? std::optional(static_cast<float>(*value)) : std::nullopt;
}

ApiStatus read_stop(Fields& fields, std::vector<std::string>& stops) {
  const Json* value = fields.find("stop");
  if (value == nullptr) return {};
  const auto add = [&](const Json& stop) -> ApiStatus {
    if (!stop.is_string()) {
      return bad_request("stop", "stop must hold strings, not {}.", kind_of(stop));
    }
    const auto& text = stop.get_ref<const std::string&>();
    if (text.empty())
      return bad_request("stop", "A stop string is empty: it would end any answer.");
    if (text.size() > kLongestStop) {
      return bad_request("stop", "A stop string is longer than {} bytes.", kLongestStop);
    }
    stops.push_back(text);
    return {};
  };
  if (!value->is_array()) return add(*value);
  if (value->size() > kMostStops) {
    return bad_request("stop", "There are {} stop strings; at most {} are allowed.", value->size(),
                       kMostStops);
  }
  for (const Json& stop : *value) FATHOM_CHECK(add(stop));
  return {};
}

ApiStatus read_logit_bias(Fields& fields, std::vector<LogitBias>& biases) {
  const Json* value = fields.find("logit_bias");
  if (value == nullptr) return {};
  if (!value->is_object()) {
    return bad_request("logit_bias", "logit_bias must be an object, not {}.", kind_of(*value));
  }
  for (const auto& [name, bias] : value->items()) {
    int32_t token = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), token);
    if (error != std::errc() || end != name.data() + name.size() || token < 0) {
      return bad_request("logit_bias", "logit_bias has the key {}, which is no token id.",
                         in_quotes(name));
    }
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= kMostBias)) {
      return bad_request("logit_bias", "logit_bias of token {} must be a number from -{} to {}.",
                         token, kMostBias, kMostBias);
    }
    biases.push_back({.token = token, .bias = bias.get<float>()});
  }
  return {};
}

ApiStatus read_stream_options(Fields& fields, GenerationRequest& request) {
  const Json* value = fields.find("stream_options");
  if (value == nullptr) return {};
  if (!request.stream) {
    return bad_request("stream_options", "stream_options needs \"stream\": true.");
  }
  FATHOM_TRY(Fields options, Fields::of(*value, "stream_options."));
  FATHOM_TRY(const auto usage, options.boolean("include_usage"));
  FATHOM_CHECK(options.only("include_obfuscation", {false}));
  request.include_usage = usage.value_or(false);
  return options.unknown();
}

// Texts by name, as in OpenAI's API. They say something about the request and change no answer, but
// that `class` may decide which model gives it.
ApiStatus read_metadata(Fields& fields, GenerationRequest& request) {
  const Json* value = fields.find("metadata");
  if (value == nullptr) return {};
  if (!value->is_object()) {
    return bad_request("metadata", "metadata must be an object, not {}.", kind_of(*value));
  }
  if (value->size() > kMostMetadata) {
    return bad_request("metadata", "metadata has {} entries; at most {} are allowed.",
                       value->size(), kMostMetadata);
  }
  for (const auto& [name, entry] : value->items()) {
    if (!entry.is_string() || name.size() > kLongestMetadataName ||
        entry.get_ref<const std::string&>().size() > kLongestMetadata) {
      return bad_request("metadata",
                         "metadata must hold texts of at most {} bytes under names of at most {}.",
                         kLongestMetadata, kLongestMetadataName);
    }
    if (name == "class") request.request_class = entry.get<std::string>();
  }
  return {};
}

ApiResult<std::string> read_text_parts(const Json& parts, const std::string& path,
                                       bool responses_api) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string part_path = fmt::format("{}[{}]", path, i);
    FATHOM_TRY(Fields part, Fields::of(parts[i], part_path + "."));
    FATHOM_TRY(const auto type, part.string("type"));
    const bool is_text =
        responses_api ? type == "input_text" || type == "output_text" || type == "reasoning_text"
                      : type == "text";
    if (!type) return bad_request(part_path, "{} has no type.", part_path);
    if (!is_text) {
      return bad_request(part_path, "{} is of type {}. Only text is supported.", part_path,
                         in_quotes(*type));
    }
    FATHOM_TRY(const auto piece, part.string("text"));
    if (!piece) return bad_request(part_path, "{} has no text.", part_path);
    if (responses_api) {
      part.find("annotations");  // of our own earlier answers
      part.find("logprobs");
    }
    FATHOM_CHECK(part.unknown());
    text += *piece;
  }
  return text;
}

}  // namespace

ApiResult<Json> parse_body(std::string_view body) {
  constexpr JsonLimits kLimits{.bytes = size_t{64} << 20, .values = 4'000'000};
  auto parsed = parse_ordered_json(body, "The request body", kLimits);
  if (!parsed) return bad_request({}, "{}", parsed.error().message);
  return *std::move(parsed);
}

ApiResult<GenerationRequest> read_generation(Fields& fields) {
  GenerationRequest request;
  FATHOM_TRY(const auto model, fields.string("model"));
  request.model = model.value_or("");
  FATHOM_TRY(const auto temperature, fields.number("temperature", 0, 2));
  FATHOM_TRY(const auto top_p, fields.number("top_p", 0, 1));
  FATHOM_TRY(const auto min_p, fields.number("min_p", 0, 1));
  FATHOM_TRY(const auto top_k, fields.integer("top_k", -1, std::numeric_limits<int32_t>::max()));
  FATHOM_TRY(const auto repetition, fields.number("repetition_penalty", 0.01, 10));
  FATHOM_TRY(const auto presence, fields.number("presence_penalty", -kMostPenalty, kMostPenalty));
  FATHOM_TRY(const auto frequency, fields.number("frequency_penalty", -kMostPenalty, kMostPenalty));
  FATHOM_TRY(const auto seed, fields.integer("seed", std::numeric_limits<int64_t>::min(),
                                             std::numeric_limits<int64_t>::max()));
  FATHOM_TRY(const auto stream, fields.boolean("stream"));
  request.temperature = as_float(temperature);
  request.top_p = as_float(top_p);
  // The sampler wants something to draw from: the smallest top_p keeps the best token alone.
  if (request.top_p == 0.0F) request.top_p = std::numeric_limits<float>::min();
  request.min_p = as_float(min_p);
  if (top_k) request.top_k = static_cast<int32_t>(std::max<int64_t>(*top_k, 0));
  request.repeat_penalty = as_float(repetition);
  request.presence_penalty = as_float(presence);
  request.frequency_penalty = as_float(frequency);
  if (seed) request.seed = static_cast<uint64_t>(*seed);
  request.stream = stream.value_or(false);
  FATHOM_TRY(const auto ignore_eos, fields.boolean("ignore_eos"));
  request.ignore_eos = ignore_eos.value_or(false);
  FATHOM_CHECK(read_stop(fields, request.stop));
  FATHOM_CHECK(read_logit_bias(fields, request.logit_bias));
  FATHOM_CHECK(read_stream_options(fields, request));
  FATHOM_CHECK(read_metadata(fields, request));
  // Say who asks, for the operator's own books, and what is likely to be in a cache; they change no
  // answer. Beginnings that are alike are found without being told.
  for (const char* name : {"user", "safety_identifier", "prompt_cache_key"}) {
    FATHOM_CHECK(fields.string(name));
  }
  return request;
}

ApiResult<std::vector<int32_t>> read_tokens(const Json& value, const std::string& path) {
  if (!value.is_array()) {
    return bad_request(path, "{} must be an array of token ids, not {}.", path, kind_of(value));
  }
  std::vector<int32_t> tokens;
  tokens.reserve(value.size());
  for (const Json& token : value) {
    const bool fits =
        token.is_number_unsigned() && token.get<uint64_t>() <= std::numeric_limits<int32_t>::max();
    if (!fits) {
      return bad_request(path, "{} holds {}, which is no token id.", path,
                         in_quotes(token.dump().substr(0, 40)));
    }
    tokens.push_back(token.get<int32_t>());
  }
  return tokens;
}

ApiResult<std::vector<PromptText>> read_prompts(const Json& value, const std::string& path) {
  std::vector<PromptText> prompts;
  if (value.is_string()) {
    prompts.emplace_back(value.get<std::string>());
    return prompts;
  }
  if (!value.is_array() || value.empty()) {
    return bad_request(path, "{} must be a string or an array that is not empty, not {}.", path,
                       kind_of(value));
  }
  if (value.front().is_number()) {
    FATHOM_TRY(auto tokens, read_tokens(value, path));
    prompts.emplace_back(std::move(tokens));
    return prompts;
  }
  if (value.size() > kMostPrompts) {
    return bad_request(path, "{} holds {} texts; at most {} are allowed.", path, value.size(),
                       kMostPrompts);
  }
  for (const Json& entry : value) {
    if (entry.is_string()) {
      prompts.emplace_back(entry.get<std::string>());
    } else {
      FATHOM_TRY(auto tokens, read_tokens(entry, path));
      prompts.emplace_back(std::move(tokens));
    }
  }
  return prompts;
}

namespace {

// An array of texts, or one.
ApiResult<std::string> read_content(const Json& content, const std::string& path,
                                    bool responses_api) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_array()) return read_text_parts(content, path, responses_api);
  return bad_request(path, "{} must be a string or an array of texts, not {}.", path,
                     kind_of(content));
}

ApiResult<Json> call_json(Fields& fields, std::string id) {
  FATHOM_TRY(const auto name, fields.string("name"));
  if (!name) return bad_request(fields.path("name"), "{} is missing.", fields.path("name"));
  FATHOM_TRY(const auto arguments, fields.string("arguments"));
  return Json{{"id", std::move(id)},
              {"type", "function"},
              {"function", {{"name", *name}, {"arguments", arguments.value_or("{}")}}}};
}

ApiResult<std::string> read_tool_calls(const Json& list, const std::string& path) {
  if (!list.is_array()) {
    return bad_request(path, "{} must be an array, not {}.", path, kind_of(list));
  }
  Json calls = Json::array();
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string call_path = fmt::format("{}[{}]", path, i);
    FATHOM_TRY(Fields fields, Fields::of(list[i], call_path + "."));
    FATHOM_TRY(const auto id, fields.string("id"));
    FATHOM_CHECK(fields.only("type", {"function"}));
    fields.find("index");  // of our own streamed answers
    const Json* function = fields.find("function");
    if (function == nullptr) return bad_request(call_path, "{} has no function.", call_path);
    FATHOM_TRY(Fields parts, Fields::of(*function, call_path + ".function."));
    FATHOM_TRY(Json call, call_json(parts, id.value_or("")));
    FATHOM_CHECK(parts.unknown());
    FATHOM_CHECK(fields.unknown());
    calls.push_back(std::move(call));
  }
  return calls.empty() ? std::string() : calls.dump();
}

// What only an assistant's message has. Our own answers must pass when a client sends them back.
ApiStatus read_assistant(Fields& fields, Message& message) {
  FATHOM_TRY(const auto reasoning, fields.string("reasoning_content"));
  message.reasoning_content = reasoning.value_or("");
  FATHOM_CHECK(fields.only("refusal", {}));
  FATHOM_CHECK(fields.only("audio", {}));
  FATHOM_CHECK(fields.only("function_call", {}));
  FATHOM_CHECK(fields.only("annotations", {Json::array()}));
  if (const Json* calls = fields.find("tool_calls")) {
    FATHOM_TRY(message.tool_calls, read_tool_calls(*calls, fields.path("tool_calls")));
  }
  return {};
}

}  // namespace

ApiResult<Message> read_message(const Json& value, const std::string& path, bool responses_api) {
  FATHOM_TRY(Fields fields, Fields::of(value, path + "."));
  if (responses_api) {
    FATHOM_CHECK(fields.only("type", {"message"}));
    fields.find("id");
    fields.find("status");
  }
  FATHOM_TRY(const auto role, fields.string("role"));
  Message message;
  if (!role) return bad_request(fields.path("role"), "{} has no role.", path);
  if (*role == "developer") {
    message.role = "system";
  } else if (*role == "system" || *role == "user" || *role == "assistant" ||
             (*role == "tool" && !responses_api)) {
    message.role = *role;
  } else {
    return bad_request(fields.path("role"),
                       "{} has the role {}; it must be system, developer, user, assistant{}.", path,
                       in_quotes(*role), responses_api ? "" : " or tool");
  }
  if (message.role == "assistant") FATHOM_CHECK(read_assistant(fields, message));
  // Which of several people, or which tool, says this. Chat templates have no place for it.
  if (!responses_api) FATHOM_CHECK(fields.string("name"));
  if (message.role == "tool") {
    FATHOM_TRY(const auto id, fields.string("tool_call_id"));
    message.tool_call_id = id.value_or("");
  }
  if (const Json* content = fields.find("content")) {
    FATHOM_TRY(message.content, read_content(*content, fields.path("content"), responses_api));
  } else if (message.tool_calls.empty()) {
    return bad_request(fields.path("content"), "{} has no content.", path);
  }
  FATHOM_CHECK(fields.unknown());
  return message;
}

bool can_follow(const std::vector<Message>& messages, const Message& next) {
  if (next.role != "tool") return true;
  for (auto before = messages.rbegin(); before != messages.rend(); ++before) {
    if (before->role != "tool") return !before->tool_calls.empty();
  }
  return false;
}

ApiResult<std::vector<Message>> read_items(const Json& list, const std::string& path) {
  std::vector<Message> messages;
  std::string thoughts;
  Json calls = Json::array();  // of the last message, not in it yet
  const auto close_calls = [&] {
    if (!calls.empty()) messages.back().tool_calls = std::exchange(calls, Json::array()).dump();
  };
  // The assistant's message that an item belongs to. Its parts come in this order.
  const auto turn = [&] {
    if (messages.empty() || messages.back().role != "assistant") {
      messages.push_back({.role = "assistant", .content = {}});
    }
    messages.back().reasoning_content += std::exchange(thoughts, {});
  };
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string item_path = fmt::format("{}[{}]", path, i);
    FATHOM_TRY(Fields fields, Fields::of(list[i], item_path + "."));
    FATHOM_TRY(const auto type, fields.string("type"));
    if (!type || *type == "message") {
      FATHOM_TRY(Message message, read_message(list[i], item_path, true));
      close_calls();
      if (message.role == "assistant") message.reasoning_content += std::exchange(thoughts, {});
      messages.push_back(std::move(message));
      continue;
    }
    fields.find("id");
    fields.find("status");
    if (*type == "function_call") {
      FATHOM_TRY(const auto id, fields.string("call_id"));
      FATHOM_TRY(Json call, call_json(fields, id.value_or("")));
      turn();
      calls.push_back(std::move(call));
    } else if (*type == "function_call_output") {
      FATHOM_TRY(const auto id, fields.string("call_id"));
      const Json* output = fields.find("output");
      if (output == nullptr) return bad_request(item_path, "{} has no output.", item_path);
      FATHOM_TRY(auto content, read_content(*output, fields.path("output"), true));
      close_calls();
      Message message{.role = "tool",
                      .content = std::move(content),
                      .reasoning_content = {},
                      .tool_calls = {},
                      .tool_call_id = id.value_or("")};
      if (!can_follow(messages, message)) {
        return bad_request(item_path, "{} answers a function_call, and there is none before it.",
                           item_path);
      }
      messages.push_back(std::move(message));
    } else if (*type == "reasoning") {
      FATHOM_CHECK(fields.only("summary", {Json::array()}));
      FATHOM_CHECK(fields.only("encrypted_content", {}));
      if (const Json* content = fields.find("content")) {
        FATHOM_TRY(thoughts, read_content(*content, fields.path("content"), true));
      }
    } else {
      return bad_request(item_path, "{} is of the type {}, which is not supported.", item_path,
                         in_quotes(*type));
    }
    FATHOM_CHECK(fields.unknown());
  }
  close_calls();
  return messages;
}

}  // namespace fathom::serve

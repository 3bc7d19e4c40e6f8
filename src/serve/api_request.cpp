#include "serve/api_request.h"

#include <random>
#include <utility>

#include "base/quote.h"
#include "base/result.h"
#include "serve/answer_formats.h"
#include "serve/request_parts.h"

namespace fathom::serve {
namespace {

using Json = nlohmann::ordered_json;

// What other servers know and this one does not do yet: refused by name unless it asks for nothing.
ApiStatus refuse_unsupported(Fields& fields) {
  FATHOM_CHECK(fields.only("store", {false}));
  FATHOM_CHECK(fields.only("service_tier", {"auto", "default"}));
  return {};
}

ApiStatus read_answers(Fields& fields, GenerationRequest& request) {
  FATHOM_TRY(const auto n, fields.integer("n", 1, kMostAnswers));
  request.n = static_cast<int32_t>(n.value_or(1));
  return {};
}

ApiStatus read_best_of(Fields& fields, CompletionRequest& request) {
  const int32_t n = request.generation.n;
  FATHOM_TRY(const auto best_of, fields.integer("best_of", 1, kMostAnswers));
  request.best_of = static_cast<int32_t>(best_of.value_or(n));
  if (request.best_of < n) {
    return bad_request("best_of", "best_of is {} and n is {}: the best {} of {} cannot be shown.",
                       request.best_of, n, n, request.best_of);
  }
  if (request.best_of > n && request.generation.stream) {
    return bad_request("best_of",
                       "Which answer is the best is known at the end: best_of cannot be streamed.");
  }
  return {};
}

ApiStatus read_max_tokens(Fields& fields, std::string_view name, int64_t low,
                          GenerationRequest& request) {
  FATHOM_TRY(const auto limit, fields.integer(name, low, kMostTokens));
  if (limit) request.max_tokens = limit;
  return {};
}

ApiResult<std::vector<Message>> read_messages(const Json* value, const std::string& name,
                                              bool responses_api) {
  if (value == nullptr) return bad_request(name, "The request has no {}.", name);
  if (!value->is_array()) {
    return bad_request(name, "{} must be an array, not {}.", name, kind_of(*value));
  }
  if (value->empty()) return bad_request(name, "{} is empty: there is nothing to answer.", name);
  if (value->size() > kMostMessages) {
    return bad_request(name, "There are {} messages; at most {} are allowed.", value->size(),
                       kMostMessages);
  }
  if (responses_api) return read_items(*value, name);
  std::vector<Message> messages;
  for (size_t i = 0; i < value->size(); ++i) {
    FATHOM_TRY(auto message, read_message((*value)[i], fmt::format("{}[{}]", name, i), false));
    if (!can_follow(messages, message)) {
      return bad_request(fmt::format("{}[{}].role", name, i),
                         "{}[{}] answers a tool call, and the message before it has no tool_calls.",
                         name, i);
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

// A format would forbid the calls, and a call the format.
ApiStatus check_tools(const ToolRequest& tools, const GenerationRequest& generation,
                      const char* format) {
  using Kind = AnswerFormat::Kind;
  if (!tools.active() || !generation.format) return {};
  if (generation.format->kind == Kind::kJsonObject ||
      generation.format->kind == Kind::kJsonSchema) {
    return {};
  }
  return bad_request(
      format,
      "Beside tools that may be called, {} must be text, json_object or json_schema. "
      "Leave out one, or set tool_choice to none.",
      format);
}

ApiStatus read_chat_logprobs(Fields& fields, GenerationRequest& request) {
  FATHOM_TRY(const auto wanted, fields.boolean("logprobs"));
  FATHOM_TRY(const auto top, fields.integer("top_logprobs", 0, kMostLogprobs));
  if (top && !wanted.value_or(false)) {
    return bad_request("top_logprobs", "top_logprobs needs \"logprobs\": true.");
  }
  if (wanted.value_or(false)) request.logprobs = static_cast<int32_t>(top.value_or(0));
  return {};
}

}  // namespace

GenerateOptions GenerationRequest::options(const SamplingOptions& recommended) const {
  GenerateOptions options;
  SamplingOptions& sampling = options.sampling;
  sampling = recommended;
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_p = top_p.value_or(sampling.top_p);
  sampling.min_p = min_p.value_or(sampling.min_p);
  sampling.top_k = top_k.value_or(sampling.top_k);
  sampling.repeat_penalty = repeat_penalty.value_or(sampling.repeat_penalty);
  sampling.presence_penalty = presence_penalty.value_or(sampling.presence_penalty);
  sampling.frequency_penalty = frequency_penalty.value_or(sampling.frequency_penalty);
  sampling.seed = seed ? *seed : std::random_device()();
  sampling.logit_bias = logit_bias;
  options.max_tokens = max_tokens.value_or(-1);
  options.stop = stop;
  options.stop_at_eos = !ignore_eos;
  options.format = format;
  return options;
}

ApiResult<ChatRequest> parse_chat_request(std::string_view body) {
  FATHOM_TRY(const Json json, parse_body(body));
  FATHOM_TRY(Fields fields, Fields::of(json));
  ChatRequest request;
  FATHOM_TRY(request.generation, read_generation(fields));
  FATHOM_CHECK(read_answers(fields, request.generation));
  FATHOM_CHECK(read_chat_logprobs(fields, request.generation));
  FATHOM_CHECK(read_max_tokens(fields, "max_tokens", 1, request.generation));
  FATHOM_CHECK(read_max_tokens(fields, "max_completion_tokens", 1, request.generation));
  FATHOM_TRY(request.messages, read_messages(fields.find("messages"), "messages", false));
  FATHOM_CHECK(refuse_unsupported(fields));
  FATHOM_CHECK(fields.only("functions", {Json::array()}));
  FATHOM_CHECK(fields.only("function_call", {"none", "auto"}));
  FATHOM_TRY(request.generation.format, read_answer_format(fields, "response_format", false));
  FATHOM_TRY(request.tools, read_tools(fields, false));
  FATHOM_CHECK(check_tools(request.tools, request.generation, "response_format"));
  FATHOM_CHECK(fields.only("modalities", {Json::array({"text"})}));
  FATHOM_CHECK(fields.unknown());
  return request;
}

ApiResult<CompletionRequest> parse_completion_request(std::string_view body) {
  FATHOM_TRY(const Json json, parse_body(body));
  FATHOM_TRY(Fields fields, Fields::of(json));
  CompletionRequest request;
  FATHOM_TRY(request.generation, read_generation(fields));
  FATHOM_CHECK(read_answers(fields, request.generation));
  FATHOM_TRY(const auto logprobs, fields.integer("logprobs", 0, kMostLogprobs));
  if (logprobs) request.generation.logprobs = static_cast<int32_t>(*logprobs);
  FATHOM_CHECK(read_max_tokens(fields, "max_tokens", 0, request.generation));
  // OpenAI's default, without which a bare text would go on to the end of the context.
  if (!request.generation.max_tokens) request.generation.max_tokens = 16;
  FATHOM_TRY(const auto echo, fields.boolean("echo"));
  request.echo = echo.value_or(false);
  FATHOM_TRY(request.generation.format, read_answer_format(fields, "response_format", false));
  FATHOM_CHECK(fields.only("suffix", {""}));
  FATHOM_CHECK(read_best_of(fields, request));
  const Json* prompt = fields.find("prompt");
  if (prompt == nullptr) return bad_request("prompt", "The request has no prompt.");
  FATHOM_TRY(request.prompts, read_prompts(*prompt, "prompt"));
  if (request.prompts.size() * static_cast<size_t>(request.best_of) > kMostPrompts) {
    return bad_request("n", "{} prompts with {} answers each are more than {} answers.",
                       request.prompts.size(), request.best_of, kMostPrompts);
  }
  FATHOM_CHECK(fields.unknown());
  return request;
}

ApiResult<ResponsesRequest> parse_responses_request(std::string_view body) {
  FATHOM_TRY(const Json json, parse_body(body));
  FATHOM_TRY(Fields fields, Fields::of(json));
  ResponsesRequest request;
  FATHOM_TRY(request.generation, read_generation(fields));
  FATHOM_CHECK(read_max_tokens(fields, "max_output_tokens", 1, request.generation));
  FATHOM_TRY(const auto instructions, fields.string("instructions"));
  request.instructions = instructions.value_or("");
  if (instructions) request.messages.push_back({"system", *instructions});
  const Json* input = fields.find("input");
  if (input == nullptr) return bad_request("input", "The request has no input.");
  if (input->is_string()) {
    request.messages.push_back({"user", input->get<std::string>()});
  } else {
    FATHOM_TRY(auto messages, read_messages(input, "input", true));
    for (auto& message : messages) request.messages.push_back(std::move(message));
  }
  FATHOM_CHECK(refuse_unsupported(fields));
  for (const char* name : {"previous_response_id", "conversation", "reasoning", "prompt", "include",
                           "max_tool_calls"}) {
    FATHOM_CHECK(fields.only(name, {Json::array()}));
  }
  if (const Json* text = fields.find("text")) {
    FATHOM_TRY(Fields parts, Fields::of(*text, "text."));
    FATHOM_TRY(request.generation.format, read_answer_format(parts, "format", true));
    FATHOM_CHECK(parts.only("verbosity", {"medium"}));
    FATHOM_CHECK(parts.unknown());
    request.format_json = text->contains("format") ? (*text)["format"].dump() : "";
  }
  FATHOM_TRY(request.tools, read_tools(fields, true));
  FATHOM_CHECK(check_tools(request.tools, request.generation, "text.format"));
  FATHOM_CHECK(fields.only("truncation", {"disabled"}));
  FATHOM_CHECK(fields.only("background", {false}));
  FATHOM_CHECK(fields.only("top_logprobs", {0}));
  FATHOM_CHECK(fields.unknown());
  return request;
}

ApiResult<EmbeddingRequest> parse_embedding_request(std::string_view body) {
  FATHOM_TRY(const Json json, parse_body(body));
  FATHOM_TRY(Fields fields, Fields::of(json));
  EmbeddingRequest request;
  FATHOM_TRY(const auto model, fields.string("model"));
  request.model = model.value_or("");
  FATHOM_TRY(const auto encoding, fields.string("encoding_format"));
  if (encoding && *encoding != "float" && *encoding != "base64") {
    return bad_request("encoding_format", "encoding_format is {}; it must be float or base64.",
                       in_quotes(*encoding));
  }
  request.base64 = encoding == "base64";
  FATHOM_TRY(const auto pooling, fields.string("pooling"));
  if (pooling && *pooling != "mean" && *pooling != "last") {
    return bad_request("pooling", "pooling is {}; it must be mean or last.", in_quotes(*pooling));
  }
  request.last_token = pooling == "last";
  FATHOM_CHECK(fields.only("dimensions", {}));
  FATHOM_CHECK(fields.string("user"));
  const Json* input = fields.find("input");
  if (input == nullptr) return bad_request("input", "The request has no input.");
  FATHOM_TRY(request.inputs, read_prompts(*input, "input"));
  FATHOM_CHECK(fields.unknown());
  return request;
}

ApiResult<TokenizeRequest> parse_tokenize_request(std::string_view body) {
  FATHOM_TRY(const Json json, parse_body(body));
  FATHOM_TRY(Fields fields, Fields::of(json));
  TokenizeRequest request;
  FATHOM_TRY(const auto model, fields.string("model"));
  request.model = model.value_or("");
  FATHOM_TRY(auto text, fields.string("content"));
  if (!text) return bad_request("content", "The request has no content, the text to tokenize.");
  request.text = *std::move(text);
  FATHOM_TRY(const auto add_special, fields.boolean("add_special"));
  request.add_special_tokens = add_special.value_or(true);
  FATHOM_TRY(const auto parse_special, fields.boolean("parse_special"));
  request.parse_special = parse_special.value_or(false);
  FATHOM_CHECK(fields.unknown());
  return request;
}

ApiResult<DetokenizeRequest> parse_detokenize_request(std::string_view body) {
  FATHOM_TRY(const Json json, parse_body(body));
  FATHOM_TRY(Fields fields, Fields::of(json));
  DetokenizeRequest request;
  FATHOM_TRY(const auto model, fields.string("model"));
  request.model = model.value_or("");
  const Json* tokens = fields.find("tokens");
  if (tokens == nullptr) return bad_request("tokens", "The request has no tokens.");
  FATHOM_TRY(request.tokens, read_tokens(*tokens, "tokens"));
  FATHOM_CHECK(fields.unknown());
  return request;
}

}  // namespace fathom::serve

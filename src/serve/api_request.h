// What clients ask for, read from JSON bodies: types, ranges and what we cannot do are checked
// here, before anything is computed. Pure functions, for any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fathom/fathom.h"
#include "serve/api_error.h"
#include "serve/tools.h"

namespace fathom::serve {

// Common to chat, completions and responses. Options left out follow the model's makers' advice.
struct GenerationRequest {
  std::string model;  // empty: not named
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<int32_t> top_k;
  std::optional<float> repeat_penalty;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::optional<uint64_t> seed;
  std::vector<LogitBias> logit_bias;
  std::vector<std::string> stop;
  std::optional<int64_t> max_tokens;
  int32_t n = 1;
  std::optional<int32_t> logprobs;  // alternatives for each token
  bool stream = false;
  bool include_usage = false;      // in a stream
  bool ignore_eos = false;         // go on to max_tokens, as load tests want it
  std::string request_class = {};  // metadata.class: what a route's rules may know it by
  std::optional<AnswerFormat> format;

  GenerateOptions options(const SamplingOptions& recommended) const;
};

struct ChatRequest {
  GenerationRequest generation;
  std::vector<Message> messages;
  ToolRequest tools;
};

// A text, or its token ids.
using PromptText = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest {
  GenerationRequest generation;
  std::vector<PromptText> prompts;
  bool echo = false;
  int32_t best_of = 1;  // answers computed for each prompt, of which the best n are shown
};

// OpenAI's newer API: the same as a chat, in other words.
struct ResponsesRequest {
  GenerationRequest generation;
  std::vector<Message> messages;
  std::string instructions;  // also the first of the messages
  ToolRequest tools;
  std::string format_json;  // text.format as it was asked for; empty: it was not
};

struct EmbeddingRequest {
  std::string model;
  std::vector<PromptText> inputs;
  bool base64 = false;  // four bytes a value, little-endian, instead of an array
  bool last_token = false;
};

struct TokenizeRequest {
  std::string model;
  std::string text;
  bool add_special_tokens = true;
  bool parse_special = false;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<int32_t> tokens;
};

ApiResult<ChatRequest> parse_chat_request(std::string_view body);
ApiResult<CompletionRequest> parse_completion_request(std::string_view body);
ApiResult<ResponsesRequest> parse_responses_request(std::string_view body);
ApiResult<EmbeddingRequest> parse_embedding_request(std::string_view body);
ApiResult<TokenizeRequest> parse_tokenize_request(std::string_view body);
ApiResult<DetokenizeRequest> parse_detokenize_request(std::string_view body);

}  // namespace fathom::serve

// The parts that several kinds of requests share: the body itself, sampling, messages, prompts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/api_request.h"
#include "serve/fields.h"

namespace fathom::serve {

inline constexpr size_t kMostPrompts = 256;
inline constexpr size_t kMostMessages = 4096;
inline constexpr int64_t kMostAnswers = 16;   // n
inline constexpr int64_t kMostLogprobs = 20;  // alternatives for each token
inline constexpr int64_t kMostTokens = 1 << 24;

ApiResult<nlohmann::ordered_json> parse_body(std::string_view body);

// temperature, top_p, seed, stop, ...: all but names that differ between the APIs.
ApiResult<GenerationRequest> read_generation(Fields& fields);
ApiResult<std::vector<int32_t>> read_tokens(const nlohmann::ordered_json& value,
                                            const std::string& path);
// A string, an array of strings, an array of token ids, or an array of such arrays.
ApiResult<std::vector<PromptText>> read_prompts(const nlohmann::ordered_json& value,
                                                const std::string& path);
// {role, content}, where content is a string or an array of texts; an assistant's message may have
// tool_calls, and a tool's has the id of one.
ApiResult<Message> read_message(const nlohmann::ordered_json& value, const std::string& path,
                                bool responses_api);
// What a tool says answers a call: the message before it, or before others of tools, has calls.
bool can_follow(const std::vector<Message>& messages, const Message& next);
// The responses API's input: messages, and items that are parts of one to a template, such as
// calls.
ApiResult<std::vector<Message>> read_items(const nlohmann::ordered_json& list,
                                           const std::string& path);

}  // namespace fathom::serve

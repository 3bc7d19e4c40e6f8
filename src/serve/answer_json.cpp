#include "serve/answer_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/utf8.h"

namespace fathom::serve {
namespace {

// JSON has no infinities. OpenAI gives tokens that cannot occur this value.
constexpr float kLeastLogprob = -9999.0F;

OrderedJson score_json(int32_t token, float logprob, const Tokenizer& tokenizer) {
  const std::string text = token_text(tokenizer, token);
  OrderedJson bytes = OrderedJson::array();
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", replace_invalid_utf8(text)},
          {"logprob", std::max(logprob, kLeastLogprob)},
          {"bytes", std::move(bytes)}};
}

}  // namespace

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string sse(const OrderedJson& json) {
  return "data: " + dump(json) + "\n\n";
}

std::string sse(std::string_view event, const OrderedJson& json) {
  return "event: " + std::string(event) + "\n" + sse(json);
}

std::string token_text(const Tokenizer& tokenizer, int32_t token) {
  std::string text = tokenizer.token_bytes(token);
  return text.empty() ? tokenizer.piece(token) : text;
}

OrderedJson usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

OrderedJson chat_logprobs(const std::vector<ScoredToken>& tokens, const Tokenizer& tokenizer) {
  OrderedJson content = OrderedJson::array();
  for (const ScoredToken& scored : tokens) {
    OrderedJson entry = score_json(scored.token, scored.logprob.value_or(kLeastLogprob), tokenizer);
    OrderedJson& top = entry["top_logprobs"] = OrderedJson::array();
    for (const TokenScore& other : scored.top) {
      top.push_back(score_json(other.token, other.logprob, tokenizer));
    }
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

std::string text_of(const std::vector<TextPart>& parts, bool reasoning) {
  std::string text;
  for (const TextPart& part : parts) {
    if (part.reasoning == reasoning) text += part.text;
  }
  return text;
}

std::string call_id(const AnswerLabel& label, size_t choice, int64_t call) {
  return fmt::format("call_{}_{}_{}", label.id.substr(label.id.find_first_of("-_") + 1), choice,
                     call);
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += j <= count ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

}  // namespace fathom::serve

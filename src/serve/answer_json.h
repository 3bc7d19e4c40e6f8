// Pieces of JSON that several APIs share. Texts that are not UTF-8 get U+FFFD in place of what is
// broken: a token may be part of a character.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/request.h"
#include "serve/answer_writer.h"
#include "text/tokenizer.h"

namespace fathom::serve {

using OrderedJson = nlohmann::ordered_json;

std::string dump(const OrderedJson& json);
std::string sse(const OrderedJson& json);                          // data: ...
std::string sse(std::string_view event, const OrderedJson& json);  // with the event's name

// The text of one token alone; special tokens as the vocabulary spells them.
std::string token_text(const Tokenizer& tokenizer, int32_t token);
OrderedJson usage_json(const Usage& usage);
// {content: [{token, logprob, bytes, top_logprobs}]}
OrderedJson chat_logprobs(const std::vector<ScoredToken>& tokens, const Tokenizer& tokenizer);
std::string text_of(const std::vector<TextPart>& parts, bool reasoning);
// By which a client names a call when it sends what the tool said.
std::string call_id(const AnswerLabel& label, size_t choice, int64_t call);
std::string base64(std::string_view bytes);

}  // namespace fathom::serve

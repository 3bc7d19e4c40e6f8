// The shape in which an API shows answers: as one JSON document, or as server-sent events while
// they grow. One writer belongs to one request; one thread at a time. What it returns is sent as it
// stands; empty means that there is nothing to send.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "serve/api_error.h"
#include "serve/api_request.h"
#include "serve/tools.h"
#include "text/tokenizer.h"

namespace fathom::serve {

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t reasoning_tokens = 0;  // of the completion
};

// An answer as it stands; for those that are not streamed.
struct Choice {
  std::string text;
  std::string reasoning;
  std::vector<ScoredToken> prompt_scores;
  std::vector<ScoredToken> tokens;  // only with logprobs
  AnswerEnd end;
};

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  virtual std::string chunk(int32_t choice, const AnswerChunk& chunk) = 0;
  virtual std::string choice_end(int32_t choice, const AnswerEnd& end) = 0;
  virtual std::string stream_end(const Usage& usage) = 0;
  virtual std::string stream_error(const ApiError& error);
  virtual std::string whole(std::span<const Choice> choices, const Usage& usage) = 0;
};

// What every document of a request says about it.
struct AnswerLabel {
  std::string id;
  std::string model;
  int64_t created = 0;  // seconds since 1970
};

// tools: how calls in the text are told; none: it has none.
std::unique_ptr<AnswerWriter> chat_writer(AnswerLabel label, const GenerationRequest& request,
                                          const Tokenizer& tokenizer,
                                          std::optional<ToolUse> tools = {});
// echoes: the text of each prompt, to begin its answers with; empty: none.
std::unique_ptr<AnswerWriter> completion_writer(AnswerLabel label, const GenerationRequest& request,
                                                const Tokenizer& tokenizer,
                                                std::vector<std::string> echoes);
std::unique_ptr<AnswerWriter> responses_writer(AnswerLabel label, const ResponsesRequest& request,
                                               const std::optional<ToolUse>& tools = {});
std::unique_ptr<AnswerWriter> embedding_writer(AnswerLabel label, bool base64);

}  // namespace fathom::serve

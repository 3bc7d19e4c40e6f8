// A model under the name by which clients ask for it, with the engine that answers for it, and how
// what was asked becomes a request to that engine. Immutable; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/serving_engine.h"
#include "serve/api_error.h"
#include "serve/api_request.h"
#include "serve/tools.h"

namespace fathom::serve {

// Seconds after which formats may find room again where too many are being compiled.
inline constexpr int kBusyCompilersRetry = 2;

struct ServedModel {
  std::string name;
  std::shared_ptr<Engine> engine;
  std::shared_ptr<ServingEngine> serving;           // of a model and all its adapters
  SamplingOptions recommended;                      // what the model's makers advise
  std::optional<ToolFormat> tool_format = {};       // in which it calls tools; none: it does not
  std::shared_ptr<const LoraWeights> adapter = {};  // null: the model as it is

  // `param` is the field of the request to name where it is at fault.
  ApiResult<const Tokenizer*> tokenizer() const;
  ApiResult<Request> chat_prompt(const std::vector<Message>& messages, const ToolRequest& tools,
                                 const char* param) const;
  ApiResult<Request> text_prompt(const PromptText& text, const char* param) const;
  // Sampling options, the number of answers and their scores.
  ApiStatus apply(const GenerationRequest& wanted, Request& request) const;
  // Null where the answer may be anything. Compiles, as does offer_tools(): what may take seconds
  // (GenerationRequest::format, ToolRequest::binds()).
  ApiResult<std::shared_ptr<const Constraint>> constraint(const GenerationRequest& wanted,
                                                          const char* param) const;
  // How to read the answer; where tools must be called, obey their schemas or go beside `format`,
  // also the request's constraint.
  ApiResult<std::optional<ToolUse>> offer_tools(const ToolRequest& tools,
                                                const std::optional<AnswerFormat>& format,
                                                Request& request) const;
};

}  // namespace fathom::serve

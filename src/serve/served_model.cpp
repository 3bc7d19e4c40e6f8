#include "serve/served_model.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/quote.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "serve/answer_formats.h"

namespace fathom::serve {

ApiResult<const Tokenizer*> ServedModel::tokenizer() const {
  const auto found = engine->need_tokenizer();
  if (!found) return bad_request("model", "{}", found.error().message);
  return *found;
}

ApiResult<Request> ServedModel::chat_prompt(const std::vector<Message>& messages,
                                            const ToolRequest& tools, const char* param) const {
  FATHOM_TRY(const Tokenizer* words, tokenizer());
  // Tools that may not be called are none.
  const auto prompt =
      engine->render(messages, true, words, tools.active() ? tools.json : std::string());
  if (!prompt) return bad_request(param, "{}", prompt.error().message);
  // The template writes BOS itself.
  auto tokens = words->encode(*prompt, SpecialText::kParse, false);
  if (!tokens) return bad_request(param, "{}", tokens.error().message);
  Request request;
  request.adapter = adapter;
  request.prompt = *std::move(tokens);
  request.reasoning = AnswerStream::reasoning_after(*prompt);
  return request;
}

ApiResult<Request> ServedModel::text_prompt(const PromptText& text, const char* param) const {
  Request request;
  request.adapter = adapter;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&text)) {
    request.prompt = *ids;
  } else {
    FATHOM_TRY(const Tokenizer* words, tokenizer());
    auto tokens = words->encode(std::get<std::string>(text), SpecialText::kPlain, true);
    if (!tokens) return bad_request(param, "{}", tokens.error().message);
    request.prompt = *std::move(tokens);
  }
  if (request.prompt.empty()) return bad_request(param, "{} is empty.", param);
  if (const Status known = engine->check_tokens(request.prompt); !known) {
    return bad_request(param, "{}", known.error().message);
  }
  return request;
}

ApiStatus ServedModel::apply(const GenerationRequest& wanted, Request& request) const {
  request.options = wanted.options(recommended);
  request.answers = wanted.n;
  request.logprobs = wanted.logprobs;
  for (const LogitBias& bias : wanted.logit_bias) {
    const std::array<int32_t, 1> token = {bias.token};
    if (const Status known = engine->check_tokens(token); !known) {
      return bad_request("logit_bias", "{}", known.error().message);
    }
  }
  if (const Status valid = validate(request.options.sampling); !valid) {
    return bad_request({}, "{}.", valid.error().message);
  }
  return {};
}

namespace {

ApiError error_of(const FormatError& error, const char* param) {
  if (!error.busy) return {.status = 400, .message = error.message, .param = param};
  return {.status = 503,
          .message = error.message,
          .code = "overloaded",
          .retry_after = kBusyCompilersRetry};
}

}  // namespace

ApiResult<std::shared_ptr<const Constraint>> ServedModel::constraint(
    const GenerationRequest& wanted, const char* param) const {
  if (!wanted.format) return nullptr;
  auto compiled = engine->compile(*wanted.format);
  if (!compiled) return std::unexpected(error_of(compiled.error(), param));
  return *std::move(compiled);
}

namespace {

// None: the answer is text with calls in it, as the model makes them.
std::optional<BesideCalls> beside_calls(ToolFormat tool_format, const ToolRequest& tools,
                                        const std::optional<AnswerFormat>& format) {
  using Kind = BesideCalls::Kind;
  if (tools.choice == ToolRequest::Choice::kRequired) return BesideCalls{};
  if (format) {
    return BesideCalls{.kind = Kind::kDocument, .schema = schema_of(*format)};
  }
  const bool strict = std::ranges::any_of(tools.tools, &Tool::strict);
  if (!strict || tool_format == ToolFormat::kJson) return std::nullopt;
  return BesideCalls{.kind = Kind::kText};
}

}  // namespace

ApiResult<std::optional<ToolUse>> ServedModel::offer_tools(
    const ToolRequest& tools, const std::optional<AnswerFormat>& format, Request& request) const {
  if (!tools.active()) return std::nullopt;
  if (!tool_format) {
    return bad_request("tools",
                       "The chat template of {} knows no tools, or calls them in a way that this "
                       "server cannot read. Serve it with --chat-template or --tool-format.",
                       in_quotes(name));
  }
  FATHOM_TRY(const Tokenizer* words, tokenizer());
  request.keep_special = has_special_marks(*tool_format, *words);
  const bool parallel = tools.parallel && !tools.only;
  if (tools.choice == ToolRequest::Choice::kRequired) {
    if (const Status able = can_call(*tool_format, *words); !able) {
      return bad_request("tool_choice", "{} cannot be made to call: {}", in_quotes(name),
                         able.error().message);
    }
  }
  if (const auto beside = beside_calls(*tool_format, tools, format)) {
    auto compiled = engine->compile(
        {.kind = AnswerFormat::Kind::kGrammar,
         .text = tool_grammar(*tool_format, tools.callable(), parallel, *words, *beside)});
    if (!compiled) return std::unexpected(error_of(compiled.error(), "tools"));
    request.constraint = *std::move(compiled);
  }
  return ToolUse{.format = *tool_format,
                 .names = tools.names(),
                 .most_calls = parallel ? int64_t{kMostTools} : 1};
}

}  // namespace fathom::serve

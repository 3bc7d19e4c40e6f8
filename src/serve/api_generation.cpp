// The endpoints that need the engine's batch: from a parsed request to prompts of tokens.
#include <array>
#include <chrono>
#include <utility>

#include "base/quote.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "serve/answer_json.h"
#include "serve/api.h"

namespace fathom::serve {

ApiResult<Request> Api::chat_prompt(const std::vector<Message>& messages, const char* param) const {
  FATHOM_TRY(const Tokenizer* words, tokenizer());
  const auto prompt = parts_.engine->render(messages, true, words);
  if (!prompt) return bad_request(param, "{}", prompt.error().message);
  // The template writes BOS itself.
  auto tokens = words->encode(*prompt, SpecialText::kParse, false);
  if (!tokens) return bad_request(param, "{}", tokens.error().message);
  Request request;
  request.prompt = *std::move(tokens);
  request.reasoning = AnswerStream::reasoning_after(*prompt);
  return request;
}

ApiResult<Request> Api::text_prompt(const PromptText& text, const char* param) const {
  Request request;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&text)) {
    request.prompt = *ids;
  } else {
    FATHOM_TRY(const Tokenizer* words, tokenizer());
    auto tokens = words->encode(std::get<std::string>(text), SpecialText::kPlain, true);
    if (!tokens) return bad_request(param, "{}", tokens.error().message);
    request.prompt = *std::move(tokens);
  }
  if (request.prompt.empty()) return bad_request(param, "{} is empty.", param);
  if (const Status known = parts_.engine->check_tokens(request.prompt); !known) {
    return bad_request(param, "{}", known.error().message);
  }
  return request;
}

ApiStatus Api::apply(const GenerationRequest& wanted, Request& request) const {
  request.options = wanted.options(parts_.recommended);
  request.answers = wanted.n;
  request.logprobs = wanted.logprobs;
  for (const LogitBias& bias : wanted.logit_bias) {
    const std::array<int32_t, 1> token = {bias.token};
    if (const Status known = parts_.engine->check_tokens(token); !known) {
      return bad_request("logit_bias", "{}", known.error().message);
    }
  }
  if (const Status valid = validate(request.options.sampling); !valid) {
    return bad_request({}, "{}.", valid.error().message);
  }
  return {};
}

void Api::generate(ApiCall& call, std::vector<Request> requests,
                   std::unique_ptr<AnswerWriter> writer, bool stream, bool keep_scores) {
  LedgerEntry entry{.time = call.time,
                    .id = call.id,
                    .key = call.pass->key(),
                    .model = parts_.model_name,
                    .endpoint = call.request.path};
  Generation::Call generation{.exchange = call.exchange,
                              .writer = std::move(writer),
                              .stream = stream,
                              .keep_scores = keep_scores,
                              .headers = call.headers,
                              .metrics = parts_.metrics};
  generation.on_done = [this, entry = std::move(entry), pass = call.pass,
                        peer = call.request.peer](const GenerationOutcome& outcome) mutable {
    const double end =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    entry.seconds = end - entry.time;
    entry.prompt_tokens = outcome.usage.prompt_tokens;
    entry.cached_tokens = outcome.usage.cached_tokens;
    entry.completion_tokens = outcome.usage.completion_tokens;
    entry.first_token_seconds = outcome.first_token_seconds;
    entry.outcome = outcome.outcome;
    entry.cost_usd = parts_.prices.cost(entry.model, entry.prompt_tokens, entry.cached_tokens,
                                        entry.completion_tokens);
    pass->spend_tokens(entry.prompt_tokens + entry.completion_tokens);
    pass->leave();
    parts_.metrics->request_ended(entry.outcome, entry.seconds);
    parts_.log->info("answer", {{"id", entry.id},
                                {"peer", peer},
                                {"key", entry.key},
                                {"path", entry.endpoint},
                                {"outcome", entry.outcome},
                                {"prompt_tokens", entry.prompt_tokens},
                                {"cached_tokens", entry.cached_tokens},
                                {"completion_tokens", entry.completion_tokens},
                                {"first_token_seconds", entry.first_token_seconds},
                                {"seconds", entry.seconds}});
    if (parts_.ledger != nullptr && entry.outcome != "refused") {
      parts_.ledger->add(std::move(entry));
    }
    pass.reset();
  };
  Generation::start(*parts_.serving, std::move(requests), std::move(generation));
}

ApiStatus Api::chat(ApiCall& call) {
  FATHOM_TRY(const ChatRequest wanted, parse_chat_request(call.request.body));
  FATHOM_CHECK(check_model(wanted.generation.model));
  FATHOM_TRY(Request request, chat_prompt(wanted.messages, "messages"));
  FATHOM_CHECK(apply(wanted.generation, request));
  FATHOM_TRY(const Tokenizer* words, tokenizer());
  auto writer = chat_writer(label(call, "chatcmpl-"), wanted.generation, *words);
  std::vector<Request> requests;
  requests.push_back(std::move(request));
  generate(call, std::move(requests), std::move(writer), wanted.generation.stream,
           wanted.generation.logprobs.has_value());
  return {};
}

ApiStatus Api::completions(ApiCall& call) {
  FATHOM_TRY(const CompletionRequest wanted, parse_completion_request(call.request.body));
  const GenerationRequest& options = wanted.generation;
  FATHOM_CHECK(check_model(options.model));
  FATHOM_TRY(const Tokenizer* words, tokenizer());
  if (wanted.echo && options.logprobs && options.stream) {
    return bad_request("stream", "A stream cannot echo the prompt's logprobs. Leave out stream.");
  }
  std::vector<Request> requests;
  std::vector<std::string> echoes;
  for (const PromptText& text : wanted.prompts) {
    FATHOM_TRY(Request request, text_prompt(text, "prompt"));
    FATHOM_CHECK(apply(options, request));
    request.score_prompt = wanted.echo && options.logprobs.has_value();
    if (wanted.echo) echoes.push_back(words->decode(request.prompt));
    requests.push_back(std::move(request));
  }
  auto writer = completion_writer(label(call, "cmpl-"), options, *words, std::move(echoes));
  generate(call, std::move(requests), std::move(writer), options.stream,
           options.logprobs.has_value());
  return {};
}

ApiStatus Api::responses(ApiCall& call) {
  FATHOM_TRY(const ResponsesRequest wanted, parse_responses_request(call.request.body));
  FATHOM_CHECK(check_model(wanted.generation.model));
  FATHOM_TRY(Request request, chat_prompt(wanted.messages, "input"));
  FATHOM_CHECK(apply(wanted.generation, request));
  std::vector<Request> requests;
  requests.push_back(std::move(request));
  generate(call, std::move(requests), responses_writer(label(call, "resp_"), wanted),
           wanted.generation.stream, false);
  return {};
}

ApiStatus Api::embeddings(ApiCall& call) {
  FATHOM_TRY(const EmbeddingRequest wanted, parse_embedding_request(call.request.body));
  FATHOM_CHECK(check_model(wanted.model));
  std::vector<Request> requests;
  for (const PromptText& text : wanted.inputs) {
    FATHOM_TRY(Request request, text_prompt(text, "input"));
    request.pooling = wanted.last_token ? Pooling::kLast : Pooling::kMean;
    requests.push_back(std::move(request));
  }
  generate(call, std::move(requests), embedding_writer(label(call, "emb-"), wanted.base64), false,
           false);
  return {};
}

}  // namespace fathom::serve

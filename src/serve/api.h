// The endpoints: each takes a request that was let in and answers it, at once or through the
// engine. May be called from any thread, several at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "engine/serving_engine.h"
#include "serve/answer_writer.h"
#include "serve/event_log.h"
#include "serve/exchange.h"
#include "serve/generation.h"
#include "serve/key_gate.h"
#include "serve/ledger.h"
#include "serve/metrics.h"
#include "serve/prices.h"

namespace fathom::serve {

// One request on its way through the server.
struct ApiCall {
  HttpRequest request;
  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<KeyGate::Pass> pass;
  std::string id;
  Headers headers;  // that every response to it has
  double time = 0;  // of its arrival, seconds since 1970
};

class Api {
 public:
  struct Parts {
    std::shared_ptr<Engine> engine;
    ServingEngine* serving = nullptr;
    Metrics* metrics = nullptr;
    EventLog* log = nullptr;
    Ledger* ledger = nullptr;  // may be null
    Prices prices;             // may be empty
    std::filesystem::path database;
    std::string model_name;
    SamplingOptions recommended;  // what the model's makers advise
    bool needs_keys = false;
  };
  explicit Api(Parts parts);

  // Answers with 404 or 405 where there is no such endpoint.
  void handle(ApiCall call);
  void respond(const ApiCall& call, HttpResponse response);
  void respond(const ApiCall& call, const ApiError& error);

 private:
  ApiStatus route(ApiCall& call);
  ApiStatus models(const ApiCall& call, const std::string& name);
  ApiStatus usage(const ApiCall& call);
  ApiStatus tokenize(const ApiCall& call);
  ApiStatus detokenize(const ApiCall& call);
  ApiStatus chat(ApiCall& call);
  ApiStatus completions(ApiCall& call);
  ApiStatus responses(ApiCall& call);
  ApiStatus embeddings(ApiCall& call);

  ApiStatus check_model(const std::string& name) const;
  ApiResult<const Tokenizer*> tokenizer() const;
  ApiResult<Request> chat_prompt(const std::vector<Message>& messages, const char* param) const;
  ApiResult<Request> text_prompt(const PromptText& text, const char* param) const;
  ApiStatus apply(const GenerationRequest& wanted, Request& request) const;
  AnswerLabel label(const ApiCall& call, const char* prefix) const;
  void generate(ApiCall& call, std::vector<Request> requests, std::unique_ptr<AnswerWriter> writer,
                bool stream, bool keep_scores);

  const Parts parts_;
  const int64_t started_;
};

}  // namespace fathom::serve

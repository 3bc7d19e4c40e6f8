// A server that speaks OpenAI's API as the one evaluated. Likelihoods need POST /completions with
// "echo" and "logprobs" (Fathom, vLLM and llama-cpp-python have it; OpenAI itself no longer),
// answers POST /chat/completions, or /completions for bare texts.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "evaluate/answerer.h"

namespace fathom::cli {

struct RemoteOptions {
  std::string url;      // http://127.0.0.1:8080, https://example.org/v1; without a path: /v1
  std::string model;    // empty: the first that the server lists
  std::string api_key;  // empty: none
  int64_t concurrent = 16;
};

struct RemoteServer {
  std::string url;    // with the API's path, without a slash at its end
  std::string model;  // that will be asked
  std::unique_ptr<Answerer> answerer;
};

// Asks the server which models it has, so that a wrong address shows at once.
Result<RemoteServer> connect(const RemoteOptions& options);

}  // namespace fathom::cli

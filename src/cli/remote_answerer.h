// A server that speaks OpenAI's API as the one evaluated. Likelihoods need POST /completions with
// "echo" and "logprobs" (Fathom, vLLM and llama-cpp-python have it; OpenAI itself no longer),
// answers POST /chat/completions, or /completions for bare texts.
#pragma once

#include <memory>

#include "cli/remote_server.h"
#include "evaluate/answerer.h"

namespace fathom::cli {

std::unique_ptr<Answerer> make_answerer(std::unique_ptr<RemoteServer> server);

}  // namespace fathom::cli

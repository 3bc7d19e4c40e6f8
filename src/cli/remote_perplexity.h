// Perplexity of a model that a server has: the same measure as of a model here, on the same windows
// of the ids that the server makes of the text. Needs POST /completions with token ids, "echo" and
// "logprobs".
#pragma once

#include <cstdint>
#include <vector>

#include "cli/remote_server.h"
#include "evaluate/perplexity.h"

namespace fathom::cli {

// on_read: with the tokens of all windows that are done.
Result<Perplexity> measure_perplexity(RemoteServer& server, const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read);

}  // namespace fathom::cli

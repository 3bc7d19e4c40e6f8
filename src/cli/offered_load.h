// Requests that come when they come, put on a model here: through a server with a client on the
// loopback, or, where the model has no tokenizer and so no texts, on a serving engine itself. The
// requests are known beforehand, with the tokens of their prompts, so that a prediction can be made
// for the very same. One thread calls; servers and engines have their own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/serving_engine.h"
#include "fathom/fathom.h"
#include "loadtest/lengths.h"
#include "loadtest/summary.h"
#include "plan/workload.h"

namespace fathom::cli {

struct OfferedLoad {
  uint64_t seed = 0;  // of what prompts say
  std::vector<plan::PastRequest> requests = {};
  std::vector<int64_t> prompt_words = {};  // of each; empty: prompts are token ids
};

struct SeenTimes {
  loadtest::Spread first_token;  // in seconds, from when the request was due
  loadtest::Spread inter_token;  // (last - first) / (tokens - 1) of each request
};

struct LoadLengths {
  loadtest::Lengths prompt;  // in words, of which each is about a token, or in tokens
  loadtest::Lengths output;
};

class LoadTarget {
 public:
  LoadTarget() = default;
  LoadTarget(const LoadTarget&) = delete;
  LoadTarget& operator=(const LoadTarget&) = delete;
  virtual ~LoadTarget() = default;

  // `count` requests that come by chance (Poisson), the first at once; all at once where the rate
  // is 0. The same for the same seed.
  virtual Result<OfferedLoad> draw(const LoadLengths& lengths, double rate, int64_t count,
                                   uint64_t seed) const = 0;
  // Returns when all are answered. Fails where one was not.
  virtual Result<SeenTimes> put(const OfferedLoad& load) = 0;
};

// The model must outlive it, and the options' observer too.
Result<std::unique_ptr<LoadTarget>> start_load_target(const Model& model,
                                                      const ServingOptions& options);
// Whether it is a server with a client; else an engine alone.
bool is_served(const Model& model);

}  // namespace fathom::cli

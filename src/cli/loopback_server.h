// A server of this process on a free port of the loopback, and load put on it from here: what a
// client on the same machine sees. One thread calls; the server has its own.
#pragma once

#include <memory>

#include "base/result.h"
#include "engine/serving_engine.h"
#include "fathom/fathom.h"
#include "loadtest/run.h"
#include "loadtest/summary.h"
#include "loadtest/workload.h"
#include "serve/server.h"

namespace fathom::cli {

// How many tokens a request's prompt has on average.
Result<double> mean_prompt_tokens(const Model& model, const loadtest::Workload& workload);

class LoopbackServer {
 public:
  static Result<std::unique_ptr<LoopbackServer>> start(const Model& model,
                                                       const ServingOptions& engine);

  // Puts the load on; answers have exactly the length that the workload says. Only the arrivals of
  // `options` count. Fails where no request was answered.
  Result<loadtest::Summary> put(loadtest::RunOptions options,
                                const loadtest::Workload& workload) const;

 private:
  LoopbackServer() = default;
  std::unique_ptr<serve::Server> server_;
};

}  // namespace fathom::cli

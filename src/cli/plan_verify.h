// fathom plan --verify: runs a deployment on this machine, and prints what was predicted beside
// what is measured: memory, the speed of prefill and decode, and times to the first token and
// between tokens at three loads: through a server, or of a model without a tokenizer on the serving
// engine itself. One thread calls; the server has its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/comparison.h"
#include "cli/model_options.h"
#include "plan/deployment.h"
#include "plan/prediction.h"
#include "plan/workload.h"

namespace fathom::cli {

struct VerifyRequest {
  ModelOptions model;           // which, and how to compute
  plan::Deployment deployment;  // of it, on this machine
  plan::Workload workload;  // whose lengths the loads have; their rates follow from the prediction
  // How a prediction under load is made.
  std::function<plan::Prediction(const plan::Deployment&, const plan::Workload&)> predict;
  double seconds = 20;  // that each load lasts at least
  double minutes = 10;  // that all loads last together at most
  bool json = false;
};

Result<std::vector<Comparison>> verify(const VerifyRequest& request);
// verify(), printed.
Result<int> verify_plan(const VerifyRequest& request);

// How long loads of these rates (requests a second) last: each at least `least` seconds and as long
// as enough requests for percentiles take to come, but all of them `most` seconds at most. Fails
// (kUsage) where too few would come in that time.
Result<std::vector<double>> load_durations(const std::vector<double>& rates, double least,
                                           double most);

}  // namespace fathom::cli

// fathom plan --verify: runs a deployment on this machine, and prints what was predicted beside
// what is measured: memory, the speed of prefill and decode, and, where the model has a tokenizer,
// the times of a server at three loads. One thread calls; the server has its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/model_options.h"
#include "cli/plan_fit.h"
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
  double seconds = 20;  // of each load
  bool json = false;
};

Result<std::vector<Comparison>> verify(const VerifyRequest& request);
// verify(), printed.
Result<int> verify_plan(const VerifyRequest& request);

}  // namespace fathom::cli

// What a server costs beside its model's arithmetic: time of each step, token and request, and
// memory of the process. Measured with the default model or another, once in a serving engine of
// this process and once through a server, by a client on this machine. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/model_options.h"
#include "plan/model_facts.h"
#include "plan/step_costs.h"

namespace fathom::cli {

struct ServeCosts {
  bool measured = false;  // false: there is no such model here
  double step_seconds = 0;
  double logit_seconds = 0;    // for each logit of a token: drawing it
  double token_seconds = 0;    // for each token: writing it to a client, who reads it
  double request_seconds = 0;  // until a prompt is tokens and the first token with its client
  double program_bytes = 0;

  void apply(plan::StepCosts& costs) const;
  std::string text() const;
};

Result<ServeCosts> measure_serve_costs(const ModelOptions& model = {});

// Memory of this process that lies in RAM; 0: the system does not say.
int64_t resident_bytes();

}  // namespace fathom::cli

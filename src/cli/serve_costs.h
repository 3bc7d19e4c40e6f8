// What a server costs beside its model's arithmetic: time of each step and of each token drawn, and
// memory of the process. Measured with the default model in a serving engine of this process. One
// thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "plan/step_costs.h"

namespace fathom::cli {

struct ServeCosts {
  bool measured = false;  // false: there is no default model
  double step_seconds = 0;
  double logit_seconds = 0;
  double program_bytes = 0;

  void apply(plan::StepCosts& costs) const;
  std::string text() const;
};

Result<ServeCosts> measure_serve_costs();

// Memory of this process that lies in RAM; 0: the system does not say.
int64_t resident_bytes();

}  // namespace fathom::cli

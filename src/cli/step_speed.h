// How fast this machine's steps are beside what is predicted of them, at this moment: watches the
// steps of a serving engine. And predictions for a machine that is so much slower or faster.
#pragma once

#include <cstdint>
#include <mutex>

#include "engine/serving_engine.h"
#include "plan/deployment.h"
#include "plan/step_costs.h"

namespace fathom::cli {

// A step that ran, as the planner describes one.
plan::StepWork work_of(const ServedStep& step);

// The deployment on this machine when all that it does takes `factor` times as long. Needs costs.
plan::Deployment at_speed(const plan::Deployment& deployment, double factor);

// Sums over steps of the model's part alone, which is what a step is predicted from.
struct StepSpeed {
  int64_t steps = 0;
  double predicted_seconds = 0;
  double measured_seconds = 0;
  // How many times as long as predicted steps took; 1 where there were none.
  double factor() const { return predicted_seconds > 0 ? measured_seconds / predicted_seconds : 1; }
  StepSpeed& operator+=(const StepSpeed& more);
};

// on_step() on the engine's thread, take() on any.
class StepSpeedObserver final : public StepObserver {
 public:
  explicit StepSpeedObserver(const plan::Deployment& deployment);
  void on_step(const ServedStep& step) override;
  // What there was since the last call.
  StepSpeed take();

 private:
  plan::StepTimer timer_;
  std::mutex mutex_;
  StepSpeed speed_;
};

}  // namespace fathom::cli

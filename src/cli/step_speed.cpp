#include "cli/step_speed.h"

#include <memory>
#include <utility>

namespace fathom::cli {

plan::StepWork work_of(const ServedStep& step) {
  const auto mean = [](int64_t sum, int64_t rows) {
    return rows > 0 ? static_cast<double>(sum) / static_cast<double>(rows) : 0.0;
  };
  return {.decode_rows = static_cast<double>(step.decode_rows),
          .decode_context = mean(step.decode_context, step.decode_rows),
          .prompt_rows = static_cast<double>(step.prompt_rows),
          .prompt_context = mean(step.prompt_context, step.prompt_rows),
          .logits = static_cast<double>(step.logits)};
}

plan::Deployment at_speed(const plan::Deployment& deployment, double factor) {
  plan::StepCosts costs = *deployment.hardware.costs;
  for (double& seconds : costs.seconds) seconds *= factor;
  for (double* seconds : {&costs.serve_step_seconds, &costs.serve_logit_seconds,
                          &costs.serve_token_seconds, &costs.serve_request_seconds}) {
    *seconds *= factor;
  }
  plan::Deployment scaled = deployment;
  scaled.hardware.costs = std::make_shared<const plan::StepCosts>(costs);
  return scaled;
}

StepSpeed& StepSpeed::operator+=(const StepSpeed& more) {
  steps += more.steps;
  predicted_seconds += more.predicted_seconds;
  measured_seconds += more.measured_seconds;
  return *this;
}

StepSpeedObserver::StepSpeedObserver(const plan::Deployment& deployment) : timer_(deployment) {}

void StepSpeedObserver::on_step(const ServedStep& step) {
  const double predicted = timer_.time(work_of(step)).model;
  const std::lock_guard lock(mutex_);
  speed_ += {.steps = 1, .predicted_seconds = predicted, .measured_seconds = step.model_seconds};
}

StepSpeed StepSpeedObserver::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(speed_, {});
}

}  // namespace fathom::cli

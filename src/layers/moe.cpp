#include "layers/moe.h"

#include <algorithm>
#include <utility>

namespace fathom {

Result<std::unique_ptr<FeedForward>> MixtureOfExperts::load(WeightLoader& loader,
                                                            const std::string& prefix) {
  auto layer = std::make_unique<MixtureOfExperts>();
  layer->config_ = loader.config().moe;
  layer->hidden_ = loader.config().hidden_size;
  FATHOM_TRY(layer->router_, Router::load(loader, prefix));
  FATHOM_TRY(layer->experts_, ResidentExperts::load(loader, prefix));
  if (layer->config_.shared_experts > 0) {
    FATHOM_TRY(layer->shared_, GatedFeedForward::load(loader, prefix + "shared_experts."));
  }
  return layer;
}

MixtureOfExperts::Plan MixtureOfExperts::plan(const Step& step, const float* x) const {
  const int64_t per_token = config_.experts_per_token;
  Plan plan;
  plan.pairs = step.rows * per_token;
  plan.first = step.workspace.array<int32_t>(config_.experts + 1);
  plan.row = step.workspace.array<int32_t>(plan.pairs);
  plan.weight = step.workspace.floats(plan.pairs);

  const Workspace::Scope scope(step.workspace);
  auto* chosen = step.workspace.array<int32_t>(plan.pairs);  // [rows, per_token]
  float* weight = step.workspace.floats(plan.pairs);         // [rows, per_token]
  router_.route(step, x, chosen, weight);

  // Counting sort: stable, so the rows of an expert ascend.
  auto* next = step.workspace.array<int32_t>(config_.experts);
  std::fill_n(plan.first, config_.experts + 1, 0);
  for (int64_t i = 0; i < plan.pairs; ++i) ++plan.first[chosen[i] + 1];
  for (int64_t e = 0; e < config_.experts; ++e) {
    plan.first[e + 1] += plan.first[e];
    next[e] = plan.first[e];
  }
  for (int64_t i = 0; i < plan.pairs; ++i) {
    const int32_t place = next[chosen[i]]++;
    plan.row[place] = static_cast<int32_t>(i / per_token);
    plan.weight[place] = weight[i];
  }
  return plan;
}

void MixtureOfExperts::forward(const Step& step, const float* x, float* y) const {
  const Workspace::Scope scope(step.workspace);
  const Plan plan = this->plan(step, x);
  const int64_t width = config_.expert_hidden;
  float* gate = step.workspace.floats(plan.pairs * width);   // [pairs, expert_hidden]
  float* up = step.workspace.floats(plan.pairs * width);     // [pairs, expert_hidden]
  float* out = step.workspace.floats(plan.pairs * hidden_);  // [pairs, hidden]
  auto* jobs = step.workspace.array<MatmulJob>(2 * config_.experts);

  size_t count = 0;
  for (int64_t e = 0; e < config_.experts; ++e) {
    const int64_t begin = plan.first[e];
    const int64_t rows = plan.first[e + 1] - begin;
    if (rows == 0) continue;
    const ExpertWeights& expert = experts_->expert(e);
    MatmulJob job{.w = &expert.gate,
                  .x = x,
                  .x_stride = hidden_,
                  .x_rows = plan.row + begin,
                  .rows = rows,
                  .y = gate + begin * width,
                  .y_stride = width};
    jobs[count++] = job;
    job.w = &expert.up;
    job.y = up + begin * width;
    jobs[count++] = job;
  }
  step.kernels.matmul(std::span(jobs, count));
  step.kernels.swiglu(gate, up, plan.pairs, width, width, gate);

  count = 0;
  for (int64_t e = 0; e < config_.experts; ++e) {
    const int64_t begin = plan.first[e];
    const int64_t rows = plan.first[e + 1] - begin;
    if (rows == 0) continue;
    jobs[count++] = {.w = &experts_->expert(e).down,
                     .x = gate + begin * width,
                     .x_stride = width,
                     .rows = rows,
                     .y = out + begin * hidden_,
                     .y_stride = hidden_};
  }
  step.kernels.matmul(std::span(jobs, count));

  if (shared_) {
    shared_->forward(step, x, y);
  } else {
    std::fill_n(y, step.rows * hidden_, 0.0F);
  }
  const auto pairs = static_cast<size_t>(plan.pairs);
  step.kernels.scatter_add(out, hidden_, std::span(plan.row, pairs), std::span(plan.weight, pairs),
                           hidden_, y, hidden_);
}

}  // namespace fathom

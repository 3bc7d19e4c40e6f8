#include "layers/moe.h"

#include <algorithm>
#include <array>
#include <utility>

#include "layers/lora.h"

namespace fathom {

Result<std::unique_ptr<FeedForward>> MixtureOfExperts::load(WeightLoader& loader,
                                                            const std::string& prefix) {
  auto layer = std::make_unique<MixtureOfExperts>();
  layer->config_ = loader.config().moe;
  layer->hidden_ = loader.config().hidden_size;
  FATHOM_TRY(layer->router_, Router::load(loader, prefix));
  FATHOM_TRY(layer->experts_, ResidentExperts::load(loader, prefix));
  if (layer->config_.shared_experts > 0) {
    FATHOM_TRY(layer->shared_, GatedFeedForward::load_gated(loader, prefix + "shared_experts."));
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

void MixtureOfExperts::add_expert_lora(const Step& step, const Plan& plan,
                                       std::span<const LoraSite> sites) const {
  if (step.lora.empty()) return;
  Workspace& workspace = step.workspace;
  const Workspace::Scope scope(workspace);
  auto* group = workspace.array<int32_t>(step.rows);  // of each row, in step.lora
  std::fill_n(group, step.rows, -1);
  const auto groups = std::ssize(step.lora);
  for (int64_t g = 0; g < groups; ++g) {
    for (const int32_t row : step.lora[static_cast<size_t>(g)].rows) {
      group[row] = static_cast<int32_t>(g);
    }
  }
  // An expert's pairs by adapter: their rows and their places.
  auto* rows = workspace.array<int32_t>(plan.pairs);
  auto* places = workspace.array<int32_t>(plan.pairs);
  const int64_t most = std::min(plan.pairs, config_.experts * groups) * std::ssize(sites);
  auto* jobs = workspace.array<LoraJob>(most);
  size_t count = 0;
  for (const LoraSite& site : sites) {
    int64_t used = 0;
    for (int64_t e = 0; e < config_.experts; ++e) {
      const int64_t begin = plan.first[e];
      const int64_t end = plan.first[e + 1];
      if (begin == end) continue;
      const int32_t number = experts_->expert(e).*site.site;
      for (int64_t g = 0; g < groups; ++g) {
        const LoraMatrix* matrix = step.lora[static_cast<size_t>(g)].adapter->at(number);
        if (matrix == nullptr) continue;
        const int64_t first = used;
        for (int64_t pair = begin; pair < end; ++pair) {
          if (group[plan.row[pair]] != g) continue;
          rows[used] = plan.row[pair];
          places[used++] = static_cast<int32_t>(pair);
        }
        if (used == first) continue;
        const int32_t* from = site.by_row ? rows + first : places + first;
        jobs[count++] = {.matrix = matrix,
                         .x = site.x,
                         .x_stride = site.x_stride,
                         .x_rows = {from, static_cast<size_t>(used - first)},
                         .y = site.y,
                         .y_stride = site.y_stride,
                         .y_rows = places + first};
      }
    }
    // The next site may have other pairs.
    rows = workspace.array<int32_t>(plan.pairs);
    places = workspace.array<int32_t>(plan.pairs);
  }
  add_lora(step, std::span<const LoraJob>(jobs, count));
}

void MixtureOfExperts::forward(const Step& step, const float* x, float* y) const {
  const Workspace::Scope scope(step.workspace);
  const Plan plan = this->plan(step, x);
  const int64_t width = config_.expert_hidden;
  // The shared experts' products are computed in the same regions as those of the others, where
  // nothing else is to be added to them: a region costs its hand-over, and what is read from memory
  // does not flow across its end.
  const bool together = shared_ != nullptr && !shared_->has_bias() && step.lora.empty();
  const int64_t own = plan.pairs * width;
  const int64_t floats = own + (together ? step.rows * shared_->width() : 0);
  // [pairs, expert_hidden], then [rows, shared experts' width] where together.
  float* gate = step.workspace.floats(floats);
  float* up = step.workspace.floats(floats);
  float* out = step.workspace.floats(plan.pairs * hidden_);  // [pairs, hidden]
  auto* jobs = step.workspace.array<MatmulJob>(2 * config_.experts + 2);

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
  if (together) {
    for (const MatmulJob& job : shared_->gate_and_up(x, step.rows, gate + own, up + own)) {
      jobs[count++] = job;
    }
  }
  step.kernels.matmul(std::span(jobs, count));
  add_expert_lora(step, plan,
                  std::array{LoraSite{&ExpertWeights::gate_site, x, hidden_, true, gate, width},
                             LoraSite{&ExpertWeights::up_site, x, hidden_, true, up, width}});
  step.kernels.swiglu(gate, up, 1, floats, floats, gate);

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
  if (together) jobs[count++] = shared_->down(gate + own, step.rows, y);
  step.kernels.matmul(std::span(jobs, count));
  add_expert_lora(
      step, plan,
      std::array{LoraSite{&ExpertWeights::down_site, gate, width, false, out, hidden_}});

  if (shared_ && !together) {
    shared_->forward(step, x, y);
  } else if (!shared_) {
    std::fill_n(y, step.rows * hidden_, 0.0F);
  }
  const auto pairs = static_cast<size_t>(plan.pairs);
  step.kernels.scatter_add(out, hidden_, std::span(plan.row, pairs), std::span(plan.weight, pairs),
                           hidden_, y, hidden_);
}

}  // namespace fathom

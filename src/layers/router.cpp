#include "layers/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fathom {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr float kDropped = std::numeric_limits<float>::infinity();

void softmax(float* x, int64_t count) {
  const float largest = *std::max_element(x, x + count);
  float sum = 0.0F;
  for (int64_t i = 0; i < count; ++i) sum += x[i] = std::exp(x[i] - largest);
  for (int64_t i = 0; i < count; ++i) x[i] /= sum;
}

// How good the experts of a group are for a token.
float group_score(const float* scores, int64_t count, bool top2) {
  float best = kNever;
  float second = kNever;
  for (int64_t i = 0; i < count; ++i) {
    if (scores[i] > best) {
      second = best;
      best = scores[i];
    } else {
      second = std::max(second, scores[i]);
    }
  }
  return top2 && count > 1 ? best + second : best;
}

int64_t index_of_largest(const float* x, int64_t count) {
  return std::max_element(x, x + count) - x;
}

// Leaves only the groups_per_token best groups of `choice`: drops the worst one at a time.
// scratch [groups].
void limit_groups(const MoeConfig& config, float* choice, float* scratch) {
  const int64_t size = config.experts / config.groups;
  for (int64_t g = 0; g < config.groups; ++g) {
    scratch[g] = group_score(choice + g * size, size, config.group_score_top2);
  }
  for (int64_t i = config.groups_per_token; i < config.groups; ++i) {
    int64_t worst = 0;
    for (int64_t g = 1; g < config.groups; ++g) {
      if (scratch[g] <= scratch[worst]) worst = g;
    }
    scratch[worst] = kDropped;
    std::fill_n(choice + worst * size, size, kNever);
  }
}

}  // namespace

Result<Router> Router::load(WeightLoader& loader, const std::string& prefix) {
  Router router;
  router.config_ = loader.config().moe;
  FATHOM_TRY(router.gate_, loader.linear(prefix + "gate"));
  if (router.config_.correction_bias) {
    FATHOM_TRY(router.bias_, loader.vector(prefix + "gate.e_score_correction_bias"));
  }
  return router;
}

void Router::choose(float* scores, float* choice, float* scratch, int32_t* experts,
                    float* weights) const {
  const int64_t count = config_.experts;
  if (config_.scoring == RouterScoring::kSigmoid) {
    for (int64_t e = 0; e < count; ++e) scores[e] = 1.0F / (1.0F + std::exp(-scores[e]));
  } else {
    softmax(scores, count);
  }
  for (int64_t e = 0; e < count; ++e) {
    choice[e] = scores[e] + (bias_.empty() ? 0.0F : bias_[static_cast<size_t>(e)]);
  }
  if (config_.groups > config_.groups_per_token) limit_groups(config_, choice, scratch);

  for (int64_t k = 0; k < config_.experts_per_token; ++k) {
    const int64_t best = index_of_largest(choice, count);
    experts[k] = static_cast<int32_t>(best);
    choice[best] = kNever;
  }
  std::sort(experts, experts + config_.experts_per_token);

  float sum = 0.0F;
  for (int64_t k = 0; k < config_.experts_per_token; ++k) sum += weights[k] = scores[experts[k]];
  // Where DeepSeek-V2 normalises it does not scale; V3, whose scores are sigmoids, does both.
  float scale = config_.weight_scale;
  if (config_.normalize_weights) {
    scale = (config_.scoring == RouterScoring::kSigmoid ? scale : 1.0F) / (sum + 1e-20F);
  }
  for (int64_t k = 0; k < config_.experts_per_token; ++k) weights[k] *= scale;
}

void Router::route(const Step& step, const float* x, int32_t* experts, float* weights) const {
  const Workspace::Scope scope(step.workspace);
  float* scores = step.workspace.floats(step.rows * config_.experts);  // [rows, experts]
  project(step.kernels, x, gate_.w.in, step.rows, {{&gate_, scores, config_.experts}});
  float* choice = step.workspace.floats(config_.experts);
  float* scratch = step.workspace.floats(config_.groups);
  for (int64_t r = 0; r < step.rows; ++r) {
    choose(scores + r * config_.experts, choice, scratch, experts + r * config_.experts_per_token,
           weights + r * config_.experts_per_token);
  }
}

}  // namespace fathom

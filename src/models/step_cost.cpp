#include "models/step_cost.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace fathom {
namespace {

constexpr std::string_view kLayers = "model.layers.";

// -1: the tensor belongs to no layer.
int64_t layer_of(std::string_view name) {
  if (!name.starts_with(kLayers)) return -1;
  int64_t layer = -1;
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return layer;
}

}  // namespace

void StepCostModel::Weights::add(const Tensor& tensor) {
  bytes += static_cast<double>(tensor.bytes);
  if (tensor.shape.rank() < 2) return;  // a norm or a bias
  (info(tensor.dtype).quantized ? int8_elements : float_elements) +=
      static_cast<double>(tensor.shape.elements());
}

StepCostModel::StepCostModel(const Checkpoint& checkpoint, const CacheLayout& cache) {
  const ModelConfig& config = checkpoint.config();
  for (const Tensor& tensor : checkpoint.tensors()) {
    if (layer_of(tensor.name) >= config.layers) continue;  // MTP layers take no part in a step
    if (tensor.name == "model.embed_tokens.weight") {
      embedding_row_bytes_ =
          static_cast<double>(tensor.bytes) / static_cast<double>(tensor.shape[0]);
      if (config.tied_embeddings) head_.add(tensor);
    } else if (tensor.name == "lm_head.weight") {
      head_.add(tensor);
    } else if (tensor.name.find(".mlp.experts.") != std::string::npos) {
      experts_.add(tensor);
    } else {
      dense_.add(tensor);
    }
  }
  experts_count_ = static_cast<double>(config.moe.experts);
  experts_per_token_ = static_cast<double>(config.moe.experts_per_token);
  cache_bytes_per_token_ = static_cast<double>(cache.bytes_per_token());
  const int64_t widths = config.is_mla() ? 2 * config.mla.kv_lora_rank + config.mla.rope_head_dim
                                         : 2 * config.head_dim;  // of a head's key and value
  attention_ops_per_pair_ = 2.0 * static_cast<double>(config.layers * config.heads * widths);
}

void StepCostModel::add(const Weights& weights, double share_read, double rows, StepCost& cost) {
  cost.bytes += share_read * weights.bytes;
  cost.int8_ops += 2 * rows * weights.int8_elements;
  cost.float_ops += 2 * rows * weights.float_elements;
}

StepCost StepCostModel::of(const StepShape& shape) const {
  const auto sequences = static_cast<double>(shape.sequences);
  const auto tokens = static_cast<double>(shape.tokens);
  const double rows = sequences * tokens;
  StepCost cost;
  add(dense_, 1, rows, cost);
  add(head_, 1, sequences, cost);
  if (experts_count_ > 0) {
    const double read = expected_distinct_experts(experts_count_, experts_per_token_, rows);
    add(experts_, read / experts_count_, rows * experts_per_token_ / experts_count_, cost);
  }
  cost.bytes += rows * embedding_row_bytes_;
  cost.bytes += sequences * (shape.context + tokens) * cache_bytes_per_token_;
  const double pairs = rows * shape.context + sequences * tokens * (tokens + 1) / 2;
  cost.float_ops += pairs * attention_ops_per_pair_;
  return cost;
}

WeightReads StepCostModel::weight_reads() const {
  const double all = dense_.bytes + experts_.bytes + head_.bytes;
  return {.expert_share = all > 0 ? experts_.bytes / all : 0,
          .experts = experts_count_,
          .per_token = experts_per_token_};
}

double WeightReads::of(double rows) const {
  if (experts <= 0) return 1;
  const double read = expected_distinct_experts(experts, per_token, rows) / experts;
  return 1 - expert_share + expert_share * read;
}

double least_seconds(const StepCost& cost, const MachineLimits& limits) {
  const auto seconds = [](double amount, double per_second) {
    return per_second > 0 ? amount / per_second : 0.0;
  };
  return std::max(seconds(cost.bytes, limits.read_bytes_per_second),
                  seconds(cost.int8_ops, limits.int8_ops_per_second) +
                      seconds(cost.float_ops, limits.float_ops_per_second));
}

double expected_distinct_experts(double experts, double per_token, double tokens) {
  return experts * (1 - std::pow(1 - per_token / experts, tokens));
}

}  // namespace fathom

#include "checkpoint/describe.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

namespace fathom {

namespace {

constexpr int64_t kF16Bytes = 2;
constexpr int64_t kPrefillTokens = 512;

// The layer in "model.layers.L.…", or -1.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "model.layers.";
  int64_t layer = -1;
  if (name.starts_with(kPrefix)) {
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  }
  return layer;
}

// Tensors that hold no parameter of their own.
bool is_derived(const Checkpoint& checkpoint, const Tensor& tensor) {
  const std::string& name = tensor.name;
  if (name.ends_with("_scale_inv") || name.ends_with("rotary_emb.inv_freq") ||
      name == "rope_freqs.weight") {
    return true;
  }
  if (name == "lm_head.weight") return checkpoint.config().tied_embeddings;
  constexpr std::string_view kWhole = "kv_b_proj.weight";
  if (!name.ends_with(kWhole)) return false;
  // Some files have MLA's projection both whole and split.
  const std::string split = name.substr(0, name.size() - kWhole.size()) + "k_b_proj.weight";
  return checkpoint.find(split) != nullptr;
}

int64_t workspace_bytes(const ModelConfig& config) {
  const int64_t hidden =
      std::max(config.intermediate_size, config.moe.experts_per_token * config.moe.expert_hidden);
  const int64_t per_token = 4 * config.hidden_size + 3 * config.heads * config.head_dim +
                            2 * config.kv_heads * config.head_dim + 2 * hidden;
  return (kPrefillTokens * per_token + config.vocab_size) * static_cast<int64_t>(sizeof(float));
}

std::string quantization_label(const std::map<DType, int64_t>& matrix_bytes) {
  std::vector<std::pair<int64_t, DType>> order;
  int64_t total = 0;
  for (const auto& [dtype, bytes] : matrix_bytes) {
    order.emplace_back(bytes, dtype);
    total += bytes;
  }
  std::ranges::sort(order, std::greater{});
  std::string label;
  for (const auto& [bytes, dtype] : order) {
    if (bytes < total / 20) break;  // a few tensors in another type do not name the model
    if (!label.empty()) label += " + ";
    label += name(dtype);
  }
  return label;
}

}  // namespace

CheckpointDescription describe(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  CheckpointDescription result;
  std::map<DType, DTypeTotal> totals;
  std::map<DType, int64_t> matrix_bytes;
  int64_t routed = 0;
  for (const Tensor& tensor : checkpoint.tensors()) {
    const int64_t elements = tensor.shape.elements();
    DTypeTotal& total = totals[tensor.dtype];
    total.dtype = tensor.dtype;
    total.tensors += 1;
    total.elements += elements;
    total.bytes += tensor.bytes;
    result.tensor_bytes += tensor.bytes;
    const bool is_mtp = layer_of(tensor.name) >= config.layers;
    if (!is_mtp) result.weight_bytes += tensor.bytes;
    if (is_derived(checkpoint, tensor)) continue;
    if (is_mtp) {
      result.mtp_parameters += elements;
      continue;
    }
    result.parameters += elements;
    if (tensor.shape.rank() >= 2) matrix_bytes[tensor.dtype] += tensor.bytes;
    if (tensor.name.find(".mlp.experts.") != std::string::npos) routed += elements;
  }
  result.active_parameters = result.parameters;
  if (config.is_moe()) {
    // Experts are of one size, so this division is exact.
    result.active_parameters -=
        routed / config.moe.experts * (config.moe.experts - config.moe.experts_per_token);
    if (!config.tied_embeddings) {
      result.active_parameters -= config.vocab_size * config.hidden_size;
    }
  }
  for (const auto& [dtype, total] : totals) result.by_dtype.push_back(total);
  std::ranges::sort(result.by_dtype, std::greater{}, &DTypeTotal::bytes);
  result.quantization = quantization_label(matrix_bytes);
  result.cache_bytes_per_token = cache_bytes_per_token(config);
  result.workspace_bytes = workspace_bytes(config);
  result.tier = tier_of(config, result.parameters);
  return result;
}

int64_t memory_bytes(const CheckpointDescription& description, int64_t context) {
  return description.weight_bytes + description.workspace_bytes +
         description.cache_bytes_per_token * context;
}

Tier tier_of(const ModelConfig& config, int64_t parameters) {
  constexpr int64_t kMostNano = 1'200'000'000;
  if (config.is_moe()) return Tier::kV1;
  return parameters <= kMostNano ? Tier::kNano : Tier::kLite;
}

int64_t cache_bytes_per_token(const ModelConfig& config) {
  const int64_t row = config.is_mla() ? config.mla.kv_lora_rank + config.mla.rope_head_dim
                                      : 2 * config.kv_heads * config.head_dim;
  return row * config.layers * kF16Bytes;
}

}  // namespace fathom

#include "plan/model_facts.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/nearest.h"
#include "checkpoint/describe.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/identity.h"
#include "checkpoint/model_tensors.h"
#include "checkpoint/validate.h"
#include "kernels/packed/panels.h"
#include "layers/attention.h"

namespace fathom::plan {
namespace {

// Floats of a vector register of AVX-512; narrower ones change only how many rows a matrix is
// filled up with.
constexpr int kLanes = 16;
constexpr std::string_view kLayers = "model.layers.";

// -1: the tensor belongs to no layer.
int64_t layer_of(std::string_view name) {
  if (!name.starts_with(kLayers)) return -1;
  int64_t layer = -1;
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return layer;
}

double packed_bytes(DType dtype, int64_t rows, int64_t cols) {
  const PanelLayout layout(dtype, cols, kLanes, false);
  const int64_t panels = (rows + layout.width - 1) / layout.width;
  return static_cast<double>(panels * layout.bytes);
}

void add_matrix(Part& part, DType dtype, int64_t rows, int64_t cols) {
  part.bytes += packed_bytes(dtype, rows, cols);
  const double elements = static_cast<double>(rows) * static_cast<double>(cols);
  (has_codes(dtype) ? part.int8_elements : part.float_elements) += elements;
  if (!has_codes(dtype)) return;
  const CodeFormat format = code_format(dtype);
  if (format.minimum || format.zero_point) part.minimum_elements += elements;
}

// What a tensor becomes in memory; vectors become F32.
void add(Part& part, const Tensor& tensor, const ModelConfig& config) {
  const int rank = tensor.shape.rank();
  if (rank < 2) {
    part.bytes += 4.0 * static_cast<double>(tensor.shape.elements());
    return;
  }
  const int64_t cols = tensor.shape[rank - 1];
  const int64_t rows = tensor.shape.elements() / cols;
  if (!tensor.name.ends_with("kv_b_proj.weight")) return add_matrix(part, tensor.dtype, rows, cols);
  // Taken apart for absorption: the keys' half is transposed, which only plain types can be.
  const MlaConfig& mla = config.mla;
  const bool whole_blocks = tensor.dtype != DType::kF8E4M3;
  add_matrix(part, DType::kF32, config.heads * mla.kv_lora_rank, mla.nope_head_dim);
  add_matrix(part, whole_blocks ? tensor.dtype : DType::kF32, config.heads * mla.v_head_dim, cols);
}

bool is_scale(const Tensor& tensor) {
  return tensor.name.ends_with("_scale_inv");
}

// The parts of a model and its sizes. `experts`: how many each listed expert stands for.
void count(ModelFacts& facts, const std::vector<Tensor>& tensors, int64_t experts) {
  const ModelConfig& config = facts.config;
  Part embedding;
  int64_t routed = 0;
  for (const Tensor& tensor : tensors) {
    const bool expert = tensor.name.find(".mlp.experts.") != std::string::npos;
    const int64_t times = expert ? experts : 1;
    facts.file_bytes += tensor.bytes * times;
    // Layers for multi-token prediction take no part in a step and are not loaded for one.
    if (is_scale(tensor) || layer_of(tensor.name) >= config.layers) continue;
    const bool copy = tensor.name == "lm_head.weight" && config.tied_embeddings;
    if (copy || tensor.name == "rope_freqs.weight") continue;
    facts.parameters += tensor.shape.elements() * times;
    if (expert) routed += tensor.shape.elements() * times;
    if (tensor.name == "model.embed_tokens.weight") {
      add(embedding, tensor, config);
      facts.embedding_row_bytes = embedding.bytes / static_cast<double>(tensor.shape[0]);
      if (config.tied_embeddings) facts.head = embedding;
    } else if (tensor.name == "lm_head.weight") {
      add(facts.head, tensor, config);
    } else if (expert) {
      add(facts.experts, tensor, config);
    } else {
      add(facts.dense, tensor, config);
    }
  }
  facts.experts.bytes *= static_cast<double>(experts);
  facts.experts.int8_elements *= static_cast<double>(experts);
  facts.experts.minimum_elements *= static_cast<double>(experts);
  facts.experts.float_elements *= static_cast<double>(experts);
  double weights = facts.dense.bytes + facts.experts.bytes + embedding.bytes;
  if (!config.tied_embeddings) weights += facts.head.bytes;
  facts.weight_bytes = static_cast<int64_t>(weights);
  // As `fathom inspect` counts them: of an untied model the embedding is looked up, not multiplied.
  facts.active_parameters = facts.parameters;
  if (config.is_moe()) {
    facts.active_parameters -=
        routed / config.moe.experts * (config.moe.experts - config.moe.experts_per_token);
    if (!config.tied_embeddings) {
      facts.active_parameters -= config.vocab_size * config.hidden_size;
    }
  }
  facts.tier = name(tier_of(config, facts.parameters));
}

}  // namespace

int64_t ModelFacts::cache_bytes_per_token(CacheType type) const {
  return cache_layout_of(config, type).bytes_per_token();
}

int64_t ModelFacts::sparse_layers() const {
  int64_t layers = 0;
  for (int64_t layer = 0; layer < config.layers; ++layer) layers += config.is_sparse_layer(layer);
  return layers;
}

WeightReads ModelFacts::weight_reads() const {
  const double all = dense.bytes + experts.bytes + head.bytes;
  return {.expert_share = all > 0 ? experts.bytes / all : 0,
          .experts = static_cast<double>(config.moe.experts),
          .per_token = static_cast<double>(experts_per_token())};
}

Result<ModelFacts> facts_of(const Checkpoint& checkpoint) {
  ModelFacts facts;
  facts.config = checkpoint.config();
  facts.name = checkpoint.path().string();
  facts.title =
      facts.config.model_name.empty() ? facts.config.architecture : facts.config.model_name;
  facts.source = fmt::format("counted from {}", facts.name);
  facts.modalities = {"text"};
  facts.runs_here = true;
  facts.on_disk = true;
  count(facts, checkpoint.tensors(), 1);
  facts.precision = describe(checkpoint).quantization;
  if (const auto identity = identify(checkpoint)) {
    facts.identity = fmt::format("{:016x}", identity->content);
  }
  return facts;
}

const std::vector<std::string>& precisions() {
  static const std::vector<std::string> all{"q4_0", "q8_0", "bf16", "fp8"};
  return all;
}

bool is_precision(std::string_view name) {
  return std::ranges::find(precisions(), name) != precisions().end();
}

Result<ModelFacts> facts_of_config(std::string_view config_json, std::string_view name,
                                   std::string_view precision) {
  const std::optional<TensorTypes> types = tensor_types(precision);
  if (!types) {
    return usage_error(
        "There is no precision \"{}\" to plan with; there are q4_0, q8_0, bf16 and fp8.",
        precision);
  }
  FATHOM_TRY(const ModelConfig config, parse_hf_config(config_json, name));
  FATHOM_CHECK(validate_config(config, name));
  TensorTypes listed = *types;
  listed.one_expert = config.is_moe();
  ModelFacts facts;
  facts.config = config;
  facts.name = name;
  facts.title = name;
  facts.precision = precision;
  facts.source = fmt::format("computed from {}", name);
  facts.modalities = {"text"};
  facts.runs_here = true;
  count(facts, tensors_of(config, listed), config.is_moe() ? config.moe.experts : 1);
  return facts;
}

}  // namespace fathom::plan

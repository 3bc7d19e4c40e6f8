#include "checkpoint/gguf_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace fathom {

namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view hf;
};

constexpr std::array<NamePair, 3> kGlobalNames{{{"token_embd.weight", "model.embed_tokens.weight"},
                                                {"output_norm.weight", "model.norm.weight"},
                                                {"output.weight", "lm_head.weight"}}};

// After "blk.L." and before ".weight" or ".bias".
constexpr std::array<NamePair, 30> kLayerNames{{
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm"},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    {"attn_kv_b", "self_attn.kv_b_proj"},
    {"attn_k_b", "self_attn.k_b_proj"},
    {"attn_v_b", "self_attn.v_b_proj"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj"},
    {"ffn_gate_exps", "mlp.experts.*.gate_proj"},
    {"ffn_up_exps", "mlp.experts.*.up_proj"},
    {"ffn_down_exps", "mlp.experts.*.down_proj"},
    {"nextn.eh_proj", "eh_proj"},
    {"nextn.enorm", "enorm"},
    {"nextn.hnorm", "hnorm"},
    {"nextn.embed_tokens", "embed_tokens"},
}};
constexpr std::array<NamePair, 2> kSharedHeadNames{{
    {"nextn.shared_head_head", "shared_head.head"},
    {"nextn.shared_head_norm", "shared_head.norm"},
}};

template <size_t N>
std::optional<std::string_view> lookup(const std::array<NamePair, N>& names,
                                       std::string_view gguf) {
  const auto found = std::ranges::find(names, gguf, &NamePair::gguf);
  if (found == names.end()) return std::nullopt;
  return found->hf;
}

struct LayerName {
  int64_t layer = 0;
  std::string_view rest;  // "attn_q.weight"
};

std::optional<LayerName> split_layer(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  LayerName result;
  const char* begin = name.data() + 4;
  const char* end = name.data() + name.size();
  const auto [after, error] = std::from_chars(begin, end, result.layer);
  if (error != std::errc{} || after == end || *after != '.' || result.layer < 0) {
    return std::nullopt;
  }
  result.rest = std::string_view(after + 1, static_cast<size_t>(end - after - 1));
  return result;
}

constexpr std::string_view kExpertMark = ".experts.*.";

// One tensor an expert, from [experts, rows, cols].
Status append_experts(const Tensor& stack, const ModelConfig& config, const std::string& file,
                      std::vector<Tensor>& out) {
  if (stack.shape.rank() != 3 || stack.shape[0] != config.moe.experts) {
    return fail("{}: the stacked experts {} have the shape {}, expected {} matrices", file,
                stack.name, stack.shape.to_string(), config.moe.experts);
  }
  const size_t mark = stack.name.find(kExpertMark);
  const std::string before = stack.name.substr(0, mark);
  const std::string after = stack.name.substr(mark + kExpertMark.size());
  const int64_t bytes = stack.bytes / stack.shape[0];
  for (int64_t expert = 0; expert < stack.shape[0]; ++expert) {
    Tensor slice = stack;
    slice.name = fmt::format("{}.experts.{}.{}", before, expert, after);
    slice.shape = Shape{stack.shape[1], stack.shape[2]};
    slice.data = stack.data + expert * bytes;
    slice.bytes = bytes;
    out.push_back(std::move(slice));
  }
  return {};
}

// Some converters store k_b and v_b as matrices [heads * rows, cols].
void split_heads(Tensor& tensor, int64_t heads) {
  if (tensor.shape.rank() != 2 || tensor.shape[0] % heads != 0) return;
  tensor.shape = Shape{heads, tensor.shape[0] / heads, tensor.shape[1]};
}

}  // namespace

std::string hf_name(std::string_view gguf_name) {
  if (const auto global = lookup(kGlobalNames, gguf_name)) return std::string(*global);
  const auto parts = split_layer(gguf_name);
  if (!parts) return std::string(gguf_name);
  const std::string prefix = fmt::format("model.layers.{}.", parts->layer);
  if (parts->rest == "exp_probs_b.bias" || parts->rest == "exp_probs_b") {
    return prefix + "mlp.gate.e_score_correction_bias";
  }
  const size_t dot = parts->rest.rfind('.');
  if (dot == std::string_view::npos) return std::string(gguf_name);
  const std::string_view stem = parts->rest.substr(0, dot);
  auto name = lookup(kLayerNames, stem);
  if (!name) name = lookup(kSharedHeadNames, stem);
  if (!name) return std::string(gguf_name);
  return fmt::format("{}{}{}", prefix, *name, parts->rest.substr(dot));
}

std::optional<GgufName> gguf_name(std::string_view hf_name) {
  const auto by_hf = [](const auto& names, std::string_view name) -> std::optional<std::string> {
    const auto found = std::ranges::find(names, name, &NamePair::hf);
    if (found == names.end()) return std::nullopt;
    return std::string(found->gguf);
  };
  if (const auto global = by_hf(kGlobalNames, hf_name)) return GgufName{*global};
  constexpr std::string_view kPrefix = "model.layers.";
  if (!hf_name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view after = hf_name.substr(kPrefix.size());
  const size_t dot = after.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string prefix = fmt::format("blk.{}.", after.substr(0, dot));
  std::string rest(after.substr(dot + 1));
  if (rest == "mlp.gate.e_score_correction_bias") return GgufName{prefix + "exp_probs_b.bias"};
  const size_t end = rest.rfind('.');
  if (end == std::string::npos) return std::nullopt;
  const std::string suffix = rest.substr(end);
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  std::string stem = rest.substr(0, end);
  std::optional<int64_t> expert;
  constexpr std::string_view kExperts = "mlp.experts.";
  if (stem.starts_with(kExperts)) {
    int64_t number = 0;
    const char* begin = stem.data() + kExperts.size();
    const auto [rest_of, error] = std::from_chars(begin, stem.data() + stem.size(), number);
    if (error != std::errc{}) return std::nullopt;
    stem = fmt::format("{}*{}", kExperts, rest_of);
    expert = number;
  }
  auto name = by_hf(kLayerNames, stem);
  if (!name) name = by_hf(kSharedHeadNames, stem);
  if (!name) return std::nullopt;
  return GgufName{fmt::format("{}{}{}", prefix, *name, suffix), expert};
}

Result<std::vector<Tensor>> to_hf_tensors(std::vector<Tensor> tensors, const ModelConfig& config,
                                          const std::string& file) {
  std::vector<Tensor> result;
  result.reserve(tensors.size());
  for (Tensor& tensor : tensors) {
    tensor.name = hf_name(tensor.name);
    if (tensor.name.find(kExpertMark) != std::string::npos) {
      FATHOM_CHECK(append_experts(tensor, config, file, result));
      continue;
    }
    if (config.is_mla() &&
        (tensor.name.ends_with(".k_b_proj.weight") || tensor.name.ends_with(".v_b_proj.weight"))) {
      split_heads(tensor, config.heads);
    }
    result.push_back(std::move(tensor));
  }
  std::ranges::sort(result, {}, &Tensor::name);
  const auto twin = std::ranges::adjacent_find(result, {}, &Tensor::name);
  if (twin != result.end()) return fail("{}: the tensor {} occurs twice", file, twin->name);
  return result;
}

}  // namespace fathom

#include "checkpoint/model_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

namespace fathom {
namespace {

constexpr int64_t kF8Block = 128;

class TensorList {
 public:
  TensorList(const ModelConfig& config, const TensorTypes& types) : c_(config), types_(types) {}

  std::vector<Tensor> make() {
    add("model.embed_tokens.weight", types_.vocabulary, {c_.vocab_size, c_.hidden_size});
    if (!c_.tied_embeddings) {
      add("lm_head.weight", types_.vocabulary, {c_.vocab_size, c_.hidden_size});
    }
    plain("model.norm.weight", {c_.hidden_size});
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      add_layer(fmt::format("model.layers.{}.", layer), c_.is_sparse_layer(layer));
    }
    if (types_.mtp) {
      for (int64_t i = 0; i < c_.mtp_layers; ++i) add_mtp(c_.layers + i);
    }
    std::ranges::sort(tensors_, {}, &Tensor::name);
    return std::move(tensors_);
  }

 private:
  void add_layer(const std::string& prefix, bool sparse) {
    plain(prefix + "input_layernorm.weight", {c_.hidden_size});
    plain(prefix + "post_attention_layernorm.weight", {c_.hidden_size});
    c_.is_mla() ? add_mla(prefix + "self_attn.") : add_attention(prefix + "self_attn.");
    sparse ? add_moe(prefix + "mlp.") : add_mlp(prefix + "mlp.", c_.intermediate_size);
  }

  // As DeepSeek-V3's files have it, whose embedding and head are copies of the model's.
  void add_mtp(int64_t layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    add_layer(prefix, c_.is_moe());
    plain(prefix + "enorm.weight", {c_.hidden_size});
    plain(prefix + "hnorm.weight", {c_.hidden_size});
    plain(prefix + "shared_head.norm.weight", {c_.hidden_size});
    matrix(prefix + "eh_proj.weight", {c_.hidden_size, 2 * c_.hidden_size});
    add(prefix + "embed_tokens.weight", types_.vocabulary, {c_.vocab_size, c_.hidden_size});
    add(prefix + "shared_head.head.weight", types_.vocabulary, {c_.vocab_size, c_.hidden_size});
  }

  void add_attention(const std::string& prefix) {
    const int64_t q = c_.heads * c_.head_dim;
    const int64_t kv = c_.kv_heads * c_.head_dim;
    matrix(prefix + "q_proj.weight", {q, c_.hidden_size});
    matrix(prefix + "k_proj.weight", {kv, c_.hidden_size});
    matrix(prefix + "v_proj.weight", {kv, c_.hidden_size});
    matrix(prefix + "o_proj.weight", {c_.hidden_size, q});
    if (c_.qk_norm) {
      plain(prefix + "q_norm.weight", {c_.head_dim});
      plain(prefix + "k_norm.weight", {c_.head_dim});
    }
    if (!c_.attention_bias) return;
    plain(prefix + "q_proj.bias", {q});
    plain(prefix + "k_proj.bias", {kv});
    plain(prefix + "v_proj.bias", {kv});
  }

  void add_mla(const std::string& prefix) {
    const MlaConfig& mla = c_.mla;
    const int64_t q = c_.heads * c_.head_dim;
    if (mla.q_lora_rank > 0) {
      matrix(prefix + "q_a_proj.weight", {mla.q_lora_rank, c_.hidden_size});
      plain(prefix + "q_a_layernorm.weight", {mla.q_lora_rank});
      matrix(prefix + "q_b_proj.weight", {q, mla.q_lora_rank});
    } else {
      matrix(prefix + "q_proj.weight", {q, c_.hidden_size});
    }
    matrix(prefix + "kv_a_proj_with_mqa.weight",
           {mla.kv_lora_rank + mla.rope_head_dim, c_.hidden_size});
    plain(prefix + "kv_a_layernorm.weight", {mla.kv_lora_rank});
    if (types_.split_latent) {
      matrix(prefix + "k_b_proj.weight", {c_.heads, mla.kv_lora_rank, mla.nope_head_dim});
      matrix(prefix + "v_b_proj.weight", {c_.heads, mla.v_head_dim, mla.kv_lora_rank});
    } else {
      matrix(prefix + "kv_b_proj.weight",
             {c_.heads * (mla.nope_head_dim + mla.v_head_dim), mla.kv_lora_rank});
    }
    matrix(prefix + "o_proj.weight", {c_.hidden_size, c_.heads * mla.v_head_dim});
  }

  void add_mlp(const std::string& prefix, int64_t width) {
    matrix(prefix + "gate_proj.weight", {width, c_.hidden_size});
    matrix(prefix + "up_proj.weight", {width, c_.hidden_size});
    matrix(prefix + "down_proj.weight", {c_.hidden_size, width});
  }

  void add_moe(const std::string& prefix) {
    add(prefix + "gate.weight", types_.routers, {c_.moe.experts, c_.hidden_size});
    if (c_.moe.correction_bias) {
      add(prefix + "gate.e_score_correction_bias", DType::kF32, {c_.moe.experts});
    }
    const int64_t listed = types_.one_expert ? 1 : c_.moe.experts;
    for (int64_t expert = 0; expert < listed; ++expert) {
      add_mlp(fmt::format("{}experts.{}.", prefix, expert), c_.moe.expert_hidden);
    }
    if (c_.moe.shared_experts > 0) {
      add_mlp(prefix + "shared_experts.", c_.moe.shared_experts * c_.moe.expert_hidden);
    }
  }

  void matrix(const std::string& name, std::initializer_list<int64_t> dims) {
    add(name, types_.matrices, dims);
    if (types_.matrices != DType::kF8E4M3 || !types_.scale_tensors) return;
    const auto blocks = [](int64_t n) { return (n + kF8Block - 1) / kF8Block; };
    const auto* d = dims.begin();
    add(name + "_scale_inv", DType::kF32, {blocks(d[0]), blocks(d[1])});
  }
  void plain(const std::string& name, std::initializer_list<int64_t> dims) {
    add(name, types_.vectors, dims);
  }
  void add(std::string name, DType dtype, std::initializer_list<int64_t> dims) {
    const Shape shape(dims);
    if (shape[shape.rank() - 1] % info(dtype).block_elements != 0) dtype = DType::kF16;
    tensors_.push_back({.name = std::move(name),
                        .dtype = dtype,
                        .shape = shape,
                        .bytes = byte_size(dtype, shape.elements())});
  }

  const ModelConfig& c_;
  const TensorTypes& types_;
  std::vector<Tensor> tensors_;
};

}  // namespace

std::optional<TensorTypes> tensor_types(std::string_view precision) {
  if (precision == "q4_0") return TensorTypes{};
  if (precision == "q8_0") {
    return TensorTypes{.matrices = DType::kQ8_0, .vocabulary = DType::kQ8_0};
  }
  const TensorTypes bf16{.matrices = DType::kBF16,
                         .vocabulary = DType::kBF16,
                         .routers = DType::kBF16,
                         .vectors = DType::kBF16,
                         .split_latent = false,
                         .mtp = true};
  if (precision == "bf16") return bf16;
  if (precision == "fp8") {
    TensorTypes fp8 = bf16;
    fp8.matrices = DType::kF8E4M3;
    fp8.scale_tensors = true;
    return fp8;
  }
  return std::nullopt;
}

std::vector<Tensor> tensors_of(const ModelConfig& config, const TensorTypes& types) {
  return TensorList(config, types).make();
}

}  // namespace fathom

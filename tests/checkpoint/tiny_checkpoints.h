// The smallest checkpoints that open: a starting point for tests that break one thing.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/gguf_writer.h"
#include "checkpoint/safetensors_writer.h"
#include "temporary_directory.h"

namespace fathom {

// One layer, hidden size 8, two heads sharing one key-value head, vocabulary of 10.
inline GgufWriter tiny_llama_gguf() {
  GgufWriter file;
  file.set_string("general.architecture", "llama");
  file.set_string("general.name", "Tiny");
  file.set_int("llama.embedding_length", 8);
  file.set_int("llama.block_count", 1);
  file.set_int("llama.feed_forward_length", 16);
  file.set_int("llama.context_length", 64);
  file.set_int("llama.attention.head_count", 2);
  file.set_int("llama.attention.head_count_kv", 1);
  file.set_float("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  file.add_f32("token_embd.weight", {8, 10});
  file.add_f32("output_norm.weight", {8});
  file.add_f32("output.weight", {8, 10});
  file.add_f32("blk.0.attn_norm.weight", {8});
  file.add_f32("blk.0.attn_q.weight", {8, 8});
  file.add_f32("blk.0.attn_k.weight", {8, 4});
  file.add_f32("blk.0.attn_v.weight", {8, 4});
  file.add_f32("blk.0.attn_output.weight", {8, 8});
  file.add_f32("blk.0.ffn_norm.weight", {8});
  file.add_f32("blk.0.ffn_gate.weight", {8, 16});
  file.add_f32("blk.0.ffn_up.weight", {8, 16});
  file.add_f32("blk.0.ffn_down.weight", {16, 8});
  return file;
}

// A DeepSeek-V3 of one sparse layer: 4 experts in 2 groups, MLA split as newer converters do it.
inline GgufWriter tiny_deepseek_gguf() {
  GgufWriter file;
  file.set_string("general.architecture", "deepseek2");
  file.set_int("deepseek2.embedding_length", 8);
  file.set_int("deepseek2.block_count", 1);
  file.set_int("deepseek2.feed_forward_length", 16);
  file.set_int("deepseek2.context_length", 64);
  file.set_int("deepseek2.attention.head_count", 2);
  file.set_int("deepseek2.attention.head_count_kv", 1);
  file.set_int("deepseek2.attention.kv_lora_rank", 6);
  file.set_int("deepseek2.attention.key_length", 8);
  file.set_int("deepseek2.attention.value_length", 6);
  file.set_int("deepseek2.attention.key_length_mla", 5);
  file.set_int("deepseek2.attention.value_length_mla", 3);
  file.set_int("deepseek2.rope.dimension_count", 2);
  file.set_int("deepseek2.expert_count", 4);
  file.set_int("deepseek2.expert_used_count", 2);
  file.set_int("deepseek2.expert_shared_count", 1);
  file.set_int("deepseek2.expert_feed_forward_length", 4);
  file.set_int("deepseek2.leading_dense_block_count", 0);
  file.set_int("deepseek2.expert_gating_func", 2);
  file.set_int("deepseek2.expert_group_count", 2);
  file.set_int("deepseek2.expert_group_used_count", 1);
  file.set_bool("deepseek2.expert_weights_norm", true);
  file.set_float("deepseek2.expert_weights_scale", 2.5F);
  file.add_f32("token_embd.weight", {8, 10});
  file.add_f32("output_norm.weight", {8});
  file.add_f32("output.weight", {8, 10});
  file.add_f32("blk.0.attn_norm.weight", {8});
  file.add_f32("blk.0.attn_q.weight", {8, 10});
  file.add_f32("blk.0.attn_kv_a_mqa.weight", {8, 8});
  file.add_f32("blk.0.attn_kv_a_norm.weight", {6});
  file.add_f32("blk.0.attn_k_b.weight", {3, 6, 2});
  file.add_f32("blk.0.attn_v_b.weight", {6, 3, 2});
  file.add_f32("blk.0.attn_output.weight", {6, 8});
  file.add_f32("blk.0.ffn_norm.weight", {8});
  file.add_f32("blk.0.ffn_gate_inp.weight", {8, 4});
  file.add_f32("blk.0.exp_probs_b.bias", {4});
  file.add_f32("blk.0.ffn_gate_exps.weight", {8, 4, 4});
  file.add_f32("blk.0.ffn_up_exps.weight", {8, 4, 4});
  file.add_f32("blk.0.ffn_down_exps.weight", {4, 8, 4});
  file.add_f32("blk.0.ffn_gate_shexp.weight", {8, 4});
  file.add_f32("blk.0.ffn_up_shexp.weight", {8, 4});
  file.add_f32("blk.0.ffn_down_shexp.weight", {4, 8});
  return file;
}

inline nlohmann::json tiny_llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 10},
          {"hidden_size", 8},
          {"intermediate_size", 16},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"eos_token_id", 2}};
}

inline SafetensorsWriter tiny_llama_weights() {
  SafetensorsWriter file;
  file.add_f32("model.embed_tokens.weight", {10, 8});
  file.add_f32("model.norm.weight", {8});
  file.add_f32("lm_head.weight", {10, 8});
  file.add_f32("model.layers.0.input_layernorm.weight", {8});
  file.add_f32("model.layers.0.post_attention_layernorm.weight", {8});
  file.add_f32("model.layers.0.self_attn.q_proj.weight", {8, 8});
  file.add_f32("model.layers.0.self_attn.k_proj.weight", {4, 8});
  file.add_f32("model.layers.0.self_attn.v_proj.weight", {4, 8});
  file.add_f32("model.layers.0.self_attn.o_proj.weight", {8, 8});
  file.add_f32("model.layers.0.mlp.gate_proj.weight", {16, 8});
  file.add_f32("model.layers.0.mlp.up_proj.weight", {16, 8});
  file.add_f32("model.layers.0.mlp.down_proj.weight", {8, 16});
  return file;
}

// A directory that is removed with all it holds.
class CheckpointDirectory {
 public:
  const std::filesystem::path& path() const { return directory_.path(); }

  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(path() / name, std::ios::binary) << text;
    return path() / name;
  }
  std::filesystem::path write(const std::string& name, std::span<const std::byte> bytes) const {
    return write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  void write_tiny_llama() const {
    write("config.json", tiny_llama_config().dump());
    write("model.safetensors", tiny_llama_weights().bytes());
  }

 private:
  test::TemporaryDirectory directory_;
};

}  // namespace fathom

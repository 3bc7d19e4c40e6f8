#include "checkpoint/gguf_keys.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>

namespace fathom {

namespace {

constexpr int32_t kUnusedToken = 5;

std::string_view architecture_of(const ModelConfig& config) {
  switch (config.family) {
    case Family::kLlama:
      return "llama";
    case Family::kQwen2:
      return "qwen2";
    case Family::kQwen3:
      return "qwen3";
    case Family::kDeepseekMoe:
      return "deepseek";
    case Family::kDeepseekV2:
    case Family::kDeepseekV3:
      return "deepseek2";
  }
  return "llama";
}

// Writes the keys of one architecture.
class ConfigWriter {
 public:
  ConfigWriter(const ModelConfig& config, GgufKeys& keys)
      : c_(config), arch_(architecture_of(config)), keys_(keys) {}

  Status write() {
    keys_.add_string("general.architecture", arch_);
    keys_.add_string("general.type", "model");
    if (!c_.model_name.empty()) keys_.add_string("general.name", c_.model_name);
    integer("block_count", c_.layers + c_.mtp_layers);
    if (c_.mtp_layers > 0) integer("nextn_predict_layers", c_.mtp_layers);
    integer("context_length", c_.context);
    integer("embedding_length", c_.hidden_size);
    integer("feed_forward_length", c_.intermediate_size);
    integer("vocab_size", c_.vocab_size);
    integer("attention.head_count", c_.heads);
    number("attention.layer_norm_rms_epsilon", c_.norm_eps);
    number("rope.freq_base", c_.rope.theta);
    FATHOM_CHECK(c_.is_mla() ? write_mla() : write_heads());
    if (c_.is_moe()) FATHOM_CHECK(write_moe());
    return write_rope();
  }

 private:
  std::string key(std::string_view suffix) const { return fmt::format("{}.{}", arch_, suffix); }
  void integer(std::string_view suffix, int64_t value) { keys_.add_int(key(suffix), value); }
  void number(std::string_view suffix, double value) { keys_.add_float(key(suffix), value); }

  Status write_heads() {
    integer("attention.head_count_kv", c_.kv_heads);
    integer("attention.key_length", c_.head_dim);
    integer("attention.value_length", c_.head_dim);
    integer("rope.dimension_count", c_.head_dim);
    return {};
  }

  // The absorbed form's sizes, and those of the heads beside them.
  Status write_mla() {
    if (c_.rope.layout != RopeLayout::kInterleaved) {
      return fail("GGUF has no latent attention whose rotary halves lie apart (rope_interleave).");
    }
    const MlaConfig& mla = c_.mla;
    integer("attention.head_count_kv", 1);
    if (mla.q_lora_rank > 0) integer("attention.q_lora_rank", mla.q_lora_rank);
    integer("attention.kv_lora_rank", mla.kv_lora_rank);
    integer("attention.key_length", mla.kv_lora_rank + mla.rope_head_dim);
    integer("attention.value_length", mla.kv_lora_rank);
    integer("attention.key_length_mla", c_.head_dim);
    integer("attention.value_length_mla", mla.v_head_dim);
    integer("rope.dimension_count", mla.rope_head_dim);
    return {};
  }

  Status write_moe() {
    const MoeConfig& moe = c_.moe;
    if (moe.layer_frequency != 1) {
      return fail("GGUF has no models with sparse layers at intervals (moe_layer_freq is {}).",
                  moe.layer_frequency);
    }
    integer("expert_count", moe.experts);
    integer("expert_used_count", moe.experts_per_token);
    integer("expert_shared_count", moe.shared_experts);
    integer("expert_feed_forward_length", moe.expert_hidden);
    integer("leading_dense_block_count", moe.first_dense_layers);
    number("expert_weights_scale", moe.weight_scale);
    keys_.add_bool(key("expert_weights_norm"), moe.normalize_weights);
    integer("expert_gating_func", moe.scoring == RouterScoring::kSigmoid ? 2 : 1);
    if (moe.groups > 1) {
      integer("expert_group_count", moe.groups);
      integer("expert_group_used_count", moe.groups_per_token);
    }
    return {};
  }

  Status write_rope() {
    const RopeConfig& rope = c_.rope;
    switch (rope.scaling) {
      case RopeScaling::kNone:
      case RopeScaling::kLlama3:  // a tensor of its own
        keys_.add_string(key("rope.scaling.type"), "none");
        return {};
      case RopeScaling::kLinear:
        keys_.add_string(key("rope.scaling.type"), "linear");
        number("rope.scaling.factor", rope.factor);
        return {};
      case RopeScaling::kYarn:
        return write_yarn();
    }
    return {};
  }

  Status write_yarn() {
    const RopeConfig& rope = c_.rope;
    keys_.add_string(key("rope.scaling.type"), "yarn");
    number("rope.scaling.factor", rope.factor);
    integer("rope.scaling.original_context_length", rope.original_context);
    number("rope.scaling.yarn_beta_fast", rope.beta_fast);
    number("rope.scaling.yarn_beta_slow", rope.beta_slow);
    const double log_factor = rope.factor > 1 ? std::log(static_cast<double>(rope.factor)) : 0.0;
    if (!c_.is_mla()) {
      const double expected = 1 + 0.1 * log_factor;
      if (std::fabs(rope.attention_factor / expected - 1) > 1e-5) {
        number("rope.scaling.attn_factor", rope.attention_factor / expected);
      }
      return {};
    }
    if (std::fabs(rope.attention_factor - 1) > 1e-5) {
      return fail("GGUF cannot say YaRN's attention factor of {} (mscale unlike mscale_all_dim).",
                  rope.attention_factor);
    }
    if (log_factor > 0) {
      number("rope.scaling.yarn_log_multiplier", (rope.softmax_mscale - 1) / log_factor);
    }
    return {};
  }

  const ModelConfig& c_;
  std::string arch_;
  GgufKeys& keys_;
};

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

void GgufKeys::add(const std::string& key, GgufType type, std::span<const std::byte> bytes) {
  const auto& stored = values_.emplace_back(bytes.begin(), bytes.end());
  metadata_.add(key, {.type = type, .bytes = stored});
}

void GgufKeys::add_array(const std::string& key, GgufType element, size_t count,
                         std::span<const std::byte> bytes) {
  const auto& stored = values_.emplace_back(bytes.begin(), bytes.end());
  metadata_.add(key,
                {.type = GgufType::kArray, .element = element, .count = count, .bytes = stored});
}

void GgufKeys::add_int(const std::string& key, int64_t value) {
  add(key, GgufType::kU32, bytes_of(static_cast<uint32_t>(value)));
}

void GgufKeys::add_float(const std::string& key, double value) {
  add(key, GgufType::kF32, bytes_of(static_cast<float>(value)));
}

void GgufKeys::add_bool(const std::string& key, bool value) {
  add(key, GgufType::kBool, bytes_of(static_cast<uint8_t>(value ? 1 : 0)));
}

void GgufKeys::add_string(const std::string& key, std::string_view text) {
  add(key, GgufType::kString, std::as_bytes(std::span(text)));
}

void GgufKeys::add_strings(const std::string& key, const std::vector<std::string>& texts) {
  std::vector<std::byte> bytes;
  for (const std::string& text : texts) {
    const uint64_t size = text.size();
    const auto length = bytes_of(size);
    bytes.insert(bytes.end(), length.begin(), length.end());
    const auto characters = std::as_bytes(std::span(text));
    bytes.insert(bytes.end(), characters.begin(), characters.end());
  }
  add_array(key, GgufType::kString, texts.size(), bytes);
}

void GgufKeys::add_floats(const std::string& key, const std::vector<float>& values) {
  add_array(key, GgufType::kF32, values.size(), std::as_bytes(std::span(values)));
}

void GgufKeys::add_ints(const std::string& key, const std::vector<int32_t>& values) {
  add_array(key, GgufType::kI32, values.size(), std::as_bytes(std::span(values)));
}

Status add_config_keys(const ModelConfig& config, GgufKeys& keys) {
  return ConfigWriter(config, keys).write();
}

Status add_text_keys(GgufVocabulary vocabulary, const std::string& chat_template,
                     const GenerationDefaults& generation, int64_t vocab_size, GgufKeys& keys) {
  const auto size = static_cast<size_t>(vocab_size);
  if (vocabulary.tokens.size() > size) {
    return fail("The tokenizer has {} tokens, but the model knows {}.", vocabulary.tokens.size(),
                vocab_size);
  }
  vocabulary.tokens.reserve(size);
  vocabulary.token_types.reserve(size);
  vocabulary.scores.reserve(vocabulary.scores.empty() ? 0 : size);
  for (size_t id = vocabulary.tokens.size(); id < size; ++id) {
    vocabulary.tokens.push_back(fmt::format("[PAD{}]", id));
    vocabulary.token_types.push_back(kUnusedToken);
    if (!vocabulary.scores.empty()) vocabulary.scores.push_back(vocabulary.scores.back());
  }
  const std::string prefix = "tokenizer.ggml.";
  keys.add_string(prefix + "model", vocabulary.model);
  keys.add_string(prefix + "pre", vocabulary.pre_tokenizer);
  keys.add_strings(prefix + "tokens", vocabulary.tokens);
  keys.add_ints(prefix + "token_type", vocabulary.token_types);
  if (!vocabulary.scores.empty()) keys.add_floats(prefix + "scores", vocabulary.scores);
  if (!vocabulary.merges.empty()) keys.add_strings(prefix + "merges", vocabulary.merges);
  const auto id = [&](const char* name, std::optional<int32_t> token) {
    if (token) keys.add_int(prefix + name, *token);
  };
  std::optional<int32_t> eos = vocabulary.eos_token;
  if (!eos && !generation.eos_tokens.empty()) eos = generation.eos_tokens.front();
  for (const int32_t token : generation.eos_tokens) {
    if (!vocabulary.eot_token && token != eos) vocabulary.eot_token = token;
  }
  id("bos_token_id", vocabulary.bos_token);
  id("eos_token_id", eos);
  id("unknown_token_id", vocabulary.unknown_token);
  id("eot_token_id", vocabulary.eot_token);
  const auto flag = [&](const char* name, std::optional<bool> value) {
    if (value) keys.add_bool(prefix + name, *value);
  };
  flag("add_bos_token", vocabulary.add_bos);
  flag("add_eos_token", vocabulary.add_eos);
  flag("add_space_prefix", vocabulary.add_space_prefix);
  if (!chat_template.empty()) keys.add_string("tokenizer.chat_template", chat_template);
  if (generation.temperature) keys.add_float("general.sampling.temp", *generation.temperature);
  if (generation.top_p) keys.add_float("general.sampling.top_p", *generation.top_p);
  if (generation.top_k) keys.add_int("general.sampling.top_k", *generation.top_k);
  return {};
}

bool gguf_interleaves_heads(Family family) {
  return family == Family::kLlama || family == Family::kDeepseekMoe;
}

std::vector<float> llama3_divisors(const RopeConfig& rope, int64_t rotated) {
  std::vector<float> divisors(static_cast<size_t>(rotated / 2));
  const double original = static_cast<double>(rope.original_context);
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(rotated);
    const double wavelength =
        2 * std::numbers::pi * std::pow(static_cast<double>(rope.theta), exponent);
    if (wavelength < original / rope.high_freq_factor) {
      divisors[i] = 1;
    } else if (wavelength > original / rope.low_freq_factor) {
      divisors[i] = rope.factor;
    } else {
      const double smooth = (original / wavelength - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
      divisors[i] = static_cast<float>(1 / ((1 - smooth) / rope.factor + smooth));
    }
  }
  return divisors;
}

}  // namespace fathom

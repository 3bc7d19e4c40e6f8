#include "cli/checkpoint_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/format.h"
#include "layers/attention.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string_view scaling_name(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone:
      return "none";
    case RopeScaling::kLinear:
      return "linear";
    case RopeScaling::kLlama3:
      return "llama3";
    case RopeScaling::kYarn:
      return "yarn";
  }
  return "";
}

std::string attention_text(const ModelConfig& config) {
  if (config.is_mla()) {
    return fmt::format("MLA, {} heads, latent of {} and rotary key of {}", config.heads,
                       config.mla.kv_lora_rank, config.mla.rope_head_dim);
  }
  return fmt::format("{} heads of {}, {} of keys and values", config.heads, config.head_dim,
                     config.kv_heads);
}

std::string experts_text(const MoeConfig& moe) {
  return fmt::format("{} routed, {} of them for each token, {} shared", moe.experts,
                     moe.experts_per_token, moe.shared_experts);
}

std::string row(std::string_view label, std::string_view value) {
  return fmt::format("{:<16}{}\n", label, value);
}

}  // namespace

CheckpointReport::CheckpointReport(const Checkpoint& checkpoint, int64_t context, CacheType cache)
    : checkpoint_(checkpoint),
      facts_(describe(checkpoint)),
      context_(context > 0 ? context : checkpoint.config().context),
      cache_(cache) {
  facts_.cache_bytes_per_token = cache_layout_of(checkpoint.config(), cache).bytes_per_token();
}

std::string CheckpointReport::tokenizer_text() const {
  const TextSource& source = checkpoint_.text();
  if (!source.tokenizer_json.empty()) return "tokenizer.json";
  if (!source.gguf) return {};
  if (source.gguf->pre_tokenizer.empty()) return source.gguf->model;
  return source.gguf->model + ", " + source.gguf->pre_tokenizer;
}

std::string CheckpointReport::text(bool with_tensors) const {
  const ModelConfig& config = checkpoint_.config();
  std::string out;
  out += row("model", config.model_name.empty() ? "(no name)" : config.model_name);
  out += row("file", fmt::format("{} ({})", checkpoint_.path().string(), checkpoint_.format()));
  out +=
      row("architecture", fmt::format("{} (family {})", config.architecture, name(config.family)));
  out += row("tier", name(facts_.tier));
  out += row("parameters", fmt::format("{}, {} active for a token", count_text(facts_.parameters),
                                       count_text(facts_.active_parameters)));
  out += row("layers", fmt::format("{} of width {}", config.layers, config.hidden_size));
  out += row("attention", attention_text(config));
  if (config.is_moe()) out += row("experts", experts_text(config.moe));
  if (config.mtp_layers > 0) {
    out += row("MTP layers", fmt::format("{} (for predicting further tokens: --speculate mtp)",
                                         config.mtp_layers));
  }
  out += row("vocabulary", fmt::format("{} tokens", config.vocab_size));
  std::string context = fmt::format("{} tokens", config.context);
  if (config.rope.scaling != RopeScaling::kNone) {
    context += fmt::format(" (RoPE scaling {}, factor {})", scaling_name(config.rope.scaling),
                           config.rope.factor);
  }
  out += row("context", context);
  std::string types;
  for (const DTypeTotal& total : facts_.by_dtype) {
    types += fmt::format("{}{} {} in {} tensors", types.empty() ? "" : ", ", name(total.dtype),
                         format_bytes(total.bytes), total.tensors);
  }
  out += row("quantisation", fmt::format("{} ({})", facts_.quantization, types));
  const std::string tokenizer = tokenizer_text();
  out += row("tokenizer", tokenizer.empty() ? "none" : tokenizer);
  out += row("chat template", checkpoint_.text().chat_template.empty() ? "none" : "yes");
  out += row("cache",
             fmt::format("{} bytes for a token ({})", facts_.cache_bytes_per_token, name(cache_)));
  out +=
      row("memory", fmt::format("about {} at a context of {}: weights {}, cache {}, workspace {}",
                                format_bytes(memory_bytes(facts_, context_)), context_,
                                format_bytes(facts_.weight_bytes), format_bytes(cache_bytes()),
                                format_bytes(facts_.workspace_bytes)));
  if (with_tensors) {
    out += "\n";
    for (const Tensor& tensor : checkpoint_.tensors()) {
      out += fmt::format("{:<6} {:>10}  {:<18} {}\n", name(tensor.dtype),
                         format_bytes(tensor.bytes), tensor.shape.to_string(), tensor.name);
    }
  }
  return out;
}

std::string CheckpointReport::json_text(bool with_tensors) const {
  const ModelConfig& config = checkpoint_.config();
  Json json = {
      {"name", config.model_name},       {"path", checkpoint_.path().string()},
      {"format", checkpoint_.format()},  {"architecture", config.architecture},
      {"family", name(config.family)},   {"tier", name(facts_.tier)},
      {"parameters", facts_.parameters}, {"active_parameters", facts_.active_parameters},
      {"layers", config.layers},         {"hidden_size", config.hidden_size},
      {"heads", config.heads},           {"kv_heads", config.kv_heads},
      {"head_dim", config.head_dim},     {"vocab_size", config.vocab_size},
      {"context", config.context},       {"rope_scaling", scaling_name(config.rope.scaling)},
      {"mtp_layers", config.mtp_layers},
  };
  if (config.is_mla()) {
    json["mla"] = {{"kv_lora_rank", config.mla.kv_lora_rank},
                   {"q_lora_rank", config.mla.q_lora_rank},
                   {"rope_head_dim", config.mla.rope_head_dim}};
  }
  if (config.is_moe()) {
    json["experts"] = {{"routed", config.moe.experts},
                       {"per_token", config.moe.experts_per_token},
                       {"shared", config.moe.shared_experts}};
  }
  json["quantization"] = facts_.quantization;
  json["dtypes"] = Json::array();
  for (const DTypeTotal& total : facts_.by_dtype) {
    json["dtypes"].push_back({{"dtype", name(total.dtype)},
                              {"quantized", info(total.dtype).quantized},
                              {"tensors", total.tensors},
                              {"elements", total.elements},
                              {"bytes", total.bytes}});
  }
  const std::string tokenizer = tokenizer_text();
  json["tokenizer"] = tokenizer.empty() ? Json(nullptr) : Json(tokenizer);
  const std::string& chat_template = checkpoint_.text().chat_template;
  json["chat_template"] = chat_template.empty() ? Json(nullptr) : Json(chat_template);
  json["kv_cache"] = name(cache_);
  json["cache_bytes_per_token"] = facts_.cache_bytes_per_token;
  json["memory"] = {{"context", context_},
                    {"weight_bytes", facts_.weight_bytes},
                    {"cache_bytes", cache_bytes()},
                    {"workspace_bytes", facts_.workspace_bytes},
                    {"total_bytes", memory_bytes(facts_, context_)}};
  json["tensor_bytes"] = facts_.tensor_bytes;
  json["tensor_count"] = checkpoint_.tensors().size();
  if (with_tensors) {
    json["tensors"] = Json::array();
    for (const Tensor& tensor : checkpoint_.tensors()) {
      Json shape = Json::array();
      for (int i = 0; i < tensor.shape.rank(); ++i) shape.push_back(tensor.shape[i]);
      json["tensors"].push_back({{"name", tensor.name},
                                 {"dtype", name(tensor.dtype)},
                                 {"shape", shape},
                                 {"bytes", tensor.bytes}});
    }
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fathom::cli

// A checkpoint on disk, opened: its configuration, its tensors by name, and what it says about
// text. One face for GGUF (single or split) and Hugging Face directories (safetensors).
//
// Everything stays memory-mapped; opening reads headers only. open() checks all that can be
// checked without the weights' values: every tensor lies inside its file, no two overlap, shapes
// agree with the configuration, nothing the model needs is missing. After that a Checkpoint is
// immutable and may be read from any thread. Tensors point into it, so it must outlive them.
//
// Names are Hugging Face's ("model.layers.0.self_attn.q_proj.weight"), whatever the file says:
//   experts     model.layers.L.mlp.experts.E.{gate,up,down}_proj.weight, one tensor an expert
//               (GGUF's stacked ones are handed out as slices)
//   MLA         self_attn.kv_b_proj.weight [heads * (nope + v), rank], or, where the file is split,
//               self_attn.k_b_proj.weight [heads, rank, nope] and
//               self_attn.v_b_proj.weight [heads, v, rank]
//   router      mlp.gate.weight [experts, hidden], mlp.gate.e_score_correction_bias [experts]
//   MTP         model.layers.{layers + i}.{enorm,hnorm,eh_proj,...} as in DeepSeek-V3
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "checkpoint/model_config.h"
#include "tensor/tensor.h"

namespace fathom {

// GGUF's tokenizer.ggml.* keys as they stand; text/ makes a tokenizer of them.
struct GgufVocabulary {
  std::string model;          // "gpt2" (byte-level BPE), "llama" (SentencePiece), ...
  std::string pre_tokenizer;  // "smollm", "qwen2", "deepseek-v3", ...; may be empty
  std::vector<std::string> tokens;
  std::vector<float> scores;         // empty or one a token
  std::vector<int32_t> token_types;  // empty or one a token: 1 normal, 2 unknown, 3 control,
                                     // 4 user defined, 5 unused, 6 byte
  std::vector<std::string> merges;
  std::optional<int32_t> bos_token;
  std::optional<int32_t> eos_token;
  std::optional<int32_t> unknown_token;
  std::optional<int32_t> eot_token;  // end of turn, where it differs from eos
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<bool> add_space_prefix;
};

// Where the text side comes from. Exactly one of tokenizer_json and gguf is set, or neither.
struct TextSource {
  std::string tokenizer_json;         // contents of tokenizer.json
  std::string tokenizer_config_json;  // contents of tokenizer_config.json, or empty
  std::optional<GgufVocabulary> gguf;
  std::string chat_template;  // chat_template.jinja, or from tokenizer_config or GGUF metadata
};

// generation_config.json, or GGUF's tokenizer keys: what the model's makers advise.
struct GenerationDefaults {
  std::vector<int32_t> eos_tokens;  // any of them ends an answer
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
};

class Checkpoint {
 public:
  // A .gguf file (any part of a split one) or a directory with config.json.
  static Result<std::unique_ptr<Checkpoint>> open(const std::filesystem::path& path);
  virtual ~Checkpoint() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const TextSource& text() const = 0;
  virtual const GenerationDefaults& generation() const = 0;
  virtual const std::filesystem::path& path() const = 0;
  virtual std::string_view format() const = 0;  // "GGUF v3", "safetensors"

  // All tensors, sorted by name: for `inspect`. Experts of a stack are separate entries.
  virtual const std::vector<Tensor>& tensors() const = 0;
  // nullptr if there is none.
  const Tensor* find(std::string_view name) const;

  // The mapped files that the tensors lie in, in a fixed order; none where they lie elsewhere.
  virtual std::span<const MappedFile> files() const { return {}; }
  // Starts reading a tensor, or a part of one, and so many bytes of what follows it in the file.
  void prefetch(const Tensor& tensor, int64_t more_bytes) const;
  // After it was read for the last time: its pages leave this process's memory. Reading it again
  // still works.
  void release(const Tensor& tensor) const;
};

}  // namespace fathom

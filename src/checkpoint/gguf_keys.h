// The metadata of a GGUF file that is made of another kind of checkpoint: what gguf_config.h and
// gguf_text.h read, written. Keys as llama.cpp's converter writes them (docs/gguf.md in
// ggml-org/ggml, gguf-py's constants).
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_metadata.h"
#include "tensor/tensor.h"

namespace fathom {

// Keys with their values. The metadata points into this object.
class GgufKeys {
 public:
  explicit GgufKeys(std::string file) : metadata_(std::move(file)) {}
  GgufKeys(const GgufKeys&) = delete;
  GgufKeys& operator=(const GgufKeys&) = delete;

  void add_int(const std::string& key, int64_t value);  // U32
  void add_float(const std::string& key, double value);
  void add_bool(const std::string& key, bool value);
  void add_string(const std::string& key, std::string_view text);
  void add_strings(const std::string& key, const std::vector<std::string>& texts);
  void add_floats(const std::string& key, const std::vector<float>& values);
  void add_ints(const std::string& key, const std::vector<int32_t>& values);

  const GgufMetadata& metadata() const { return metadata_; }

 private:
  void add(const std::string& key, GgufType type, std::span<const std::byte> bytes);
  void add_array(const std::string& key, GgufType element, size_t count,
                 std::span<const std::byte> bytes);

  GgufMetadata metadata_;
  std::deque<std::vector<std::byte>> values_;
};

// Everything that a model is computed with. Fails for what GGUF cannot say: a YaRN whose attention
// factor llama.cpp works out otherwise, MoE layers at intervals, MLA with rotary halves.
Status add_config_keys(const ModelConfig& config, GgufKeys& keys);
// Tokenizer, chat template and what the makers advise. vocab_size: the model's, up to which the
// vocabulary is filled with tokens that are never used.
Status add_text_keys(GgufVocabulary vocabulary, const std::string& chat_template,
                     const GenerationDefaults& generation, int64_t vocab_size, GgufKeys& keys);

// Whether the rows of q and k lie in another order in GGUF than in Hugging Face's files: pairs that
// are rotated together side by side, not half a head apart.
bool gguf_interleaves_heads(Family family);

// Llama 3's rope scaling as GGUF has it, the tensor rope_freqs.weight: a divisor for each
// frequency.
std::vector<float> llama3_divisors(const RopeConfig& rope, int64_t rotated);

}  // namespace fathom

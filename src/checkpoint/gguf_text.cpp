#include "checkpoint/gguf_text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>

#include "base/quote.h"

namespace fathom {

namespace {

constexpr int32_t kControlToken = 3;
constexpr int32_t kUserDefinedToken = 4;
constexpr int32_t kByteToken = 6;

// Tokens that end a turn whatever the metadata says: files that name only the end of the text (or
// the wrong token) are common, and their models would talk on.
constexpr std::array<std::string_view, 9> kEndTokens{
    "<|im_end|>",          "<|eot_id|>", "<|end_of_text|>",       "<|endoftext|>", "<|EOT|>",
    "<|end▁of▁sentence|>", "<|eom_id|>", "<｜end▁of▁sentence｜>", "<|end|>"};

Result<std::optional<int32_t>> token_id(const GgufMetadata& metadata, const std::string& key,
                                        int64_t vocab_size) {
  FATHOM_TRY(const auto id, metadata.get_int(key));
  if (!id) return std::nullopt;
  // Converters write -1 (also as an unsigned number) for "none".
  if (*id == -1 || *id == std::numeric_limits<uint32_t>::max()) return std::nullopt;
  if (*id < 0 || *id >= vocab_size) {
    return fail("{}: {} is {}, but the vocabulary has {} tokens", metadata.file(), key, *id,
                vocab_size);
  }
  return static_cast<int32_t>(*id);
}

// A byte token is spelled "<0x0A>".
bool spells_a_byte(std::string_view token) {
  const auto is_hex = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  return token.size() == 6 && token.starts_with("<0x") && is_hex(token[3]) && is_hex(token[4]) &&
         token[5] == '>';
}

Status check_tokens(const GgufVocabulary& vocabulary, const std::string& file) {
  for (size_t i = 0; i < vocabulary.token_types.size(); ++i) {
    if (vocabulary.token_types[i] == kByteToken && !spells_a_byte(vocabulary.tokens[i])) {
      return fail("{}: the token {} is marked as a byte, but is spelled {}, not like \"<0x0A>\"",
                  file, i, in_quotes(vocabulary.tokens[i]));
    }
  }
  return {};
}

Result<GgufVocabulary> read_vocabulary(const GgufMetadata& metadata, int64_t vocab_size) {
  const std::string& file = metadata.file();
  GgufVocabulary vocabulary;
  FATHOM_TRY(const auto model, metadata.get_string("tokenizer.ggml.model"));
  vocabulary.model = model.value_or("");
  FATHOM_TRY(const auto pre, metadata.get_string("tokenizer.ggml.pre"));
  vocabulary.pre_tokenizer = pre.value_or("");
  FATHOM_TRY(vocabulary.tokens, metadata.get_strings("tokenizer.ggml.tokens"));
  FATHOM_TRY(vocabulary.scores, metadata.get_floats("tokenizer.ggml.scores"));
  FATHOM_TRY(vocabulary.token_types, metadata.get_ints("tokenizer.ggml.token_type"));
  FATHOM_TRY(vocabulary.merges, metadata.get_strings("tokenizer.ggml.merges"));

  const size_t count = vocabulary.tokens.size();
  if (count > static_cast<size_t>(vocab_size)) {
    return fail("{}: tokenizer.ggml.tokens has {} tokens, but the model knows {}", file, count,
                vocab_size);
  }
  if (!vocabulary.scores.empty() && vocabulary.scores.size() != count) {
    return fail("{}: tokenizer.ggml.scores has {} values for {} tokens", file,
                vocabulary.scores.size(), count);
  }
  if (!vocabulary.token_types.empty() && vocabulary.token_types.size() != count) {
    return fail("{}: tokenizer.ggml.token_type has {} values for {} tokens", file,
                vocabulary.token_types.size(), count);
  }
  FATHOM_CHECK(check_tokens(vocabulary, file));

  const std::string prefix = "tokenizer.ggml.";
  FATHOM_TRY(vocabulary.bos_token, token_id(metadata, prefix + "bos_token_id", vocab_size));
  FATHOM_TRY(vocabulary.eos_token, token_id(metadata, prefix + "eos_token_id", vocab_size));
  FATHOM_TRY(vocabulary.unknown_token, token_id(metadata, prefix + "unknown_token_id", vocab_size));
  FATHOM_TRY(vocabulary.eot_token, token_id(metadata, prefix + "eot_token_id", vocab_size));
  FATHOM_TRY(vocabulary.add_bos, metadata.get_bool(prefix + "add_bos_token"));
  FATHOM_TRY(vocabulary.add_eos, metadata.get_bool(prefix + "add_eos_token"));
  FATHOM_TRY(vocabulary.add_space_prefix, metadata.get_bool(prefix + "add_space_prefix"));
  return vocabulary;
}

std::vector<int32_t> end_tokens(const GgufVocabulary& vocabulary) {
  std::vector<int32_t> ids;
  const auto add = [&ids](int32_t id) {
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  };
  if (vocabulary.eos_token) add(*vocabulary.eos_token);
  if (vocabulary.eot_token) add(*vocabulary.eot_token);
  for (size_t i = 0; i < vocabulary.token_types.size(); ++i) {
    const int32_t type = vocabulary.token_types[i];
    if (type != kControlToken && type != kUserDefinedToken) continue;
    if (std::ranges::find(kEndTokens, vocabulary.tokens[i]) != kEndTokens.end()) {
      add(static_cast<int32_t>(i));
    }
  }
  return ids;
}

}  // namespace

Result<GgufText> gguf_text(const GgufMetadata& metadata, int64_t vocab_size) {
  GgufText text;
  FATHOM_TRY(const auto chat_template, metadata.get_string("tokenizer.chat_template"));
  text.source.chat_template = chat_template.value_or("");
  FATHOM_TRY(GgufVocabulary vocabulary, read_vocabulary(metadata, vocab_size));
  text.generation.eos_tokens = end_tokens(vocabulary);
  if (!vocabulary.tokens.empty()) text.source.gguf = std::move(vocabulary);

  FATHOM_TRY(const auto temperature, metadata.get_float("general.sampling.temp"));
  if (temperature) text.generation.temperature = static_cast<float>(*temperature);
  FATHOM_TRY(const auto top_p, metadata.get_float("general.sampling.top_p"));
  if (top_p) text.generation.top_p = static_cast<float>(*top_p);
  FATHOM_TRY(const auto top_k, metadata.get_int("general.sampling.top_k"));
  if (top_k && *top_k >= 0 && *top_k <= std::numeric_limits<int32_t>::max()) {
    text.generation.top_k = static_cast<int32_t>(*top_k);
  }
  return text;
}

}  // namespace fathom

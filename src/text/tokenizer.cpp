#include "text/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/json.h"
#include "text/bridge_text.h"
#include "text/utf8.h"

namespace fathom {
namespace {

std::vector<FathomSlice> as_slices(const std::vector<std::string>& texts) {
  std::vector<FathomSlice> slices(texts.size());
  std::transform(texts.begin(), texts.end(), slices.begin(),
                 [](const std::string& text) { return as_slice(text); });
  return slices;
}

int64_t as_id(std::optional<int32_t> id) {
  return id ? *id : -1;
}

int8_t as_flag(std::optional<bool> flag) {
  return flag ? static_cast<int8_t>(*flag) : -1;
}

FathomTokenizer* from_vocabulary(const GgufVocabulary& gguf, FathomText* error) {
  const std::vector<FathomSlice> tokens = as_slices(gguf.tokens);
  const std::vector<FathomSlice> merges = as_slices(gguf.merges);
  const FathomVocabulary vocabulary{
      .model = as_slice(gguf.model),
      .pre_tokenizer = as_slice(gguf.pre_tokenizer),
      .tokens = tokens.data(),
      .token_count = tokens.size(),
      .scores = gguf.scores.data(),
      .score_count = gguf.scores.size(),
      .token_types = gguf.token_types.data(),
      .token_type_count = gguf.token_types.size(),
      .merges = merges.data(),
      .merge_count = merges.size(),
      .bos = as_id(gguf.bos_token),
      .eos = as_id(gguf.eos_token),
      .unknown = as_id(gguf.unknown_token),
      .eot = as_id(gguf.eot_token),
      .add_bos = as_flag(gguf.add_bos),
      .add_eos = as_flag(gguf.add_eos),
      .add_space_prefix = as_flag(gguf.add_space_prefix),
  };
  return fathom_tokenizer_from_vocabulary(&vocabulary, error);
}

std::optional<int32_t> as_optional(int64_t id) {
  return id < 0 ? std::nullopt : std::optional(static_cast<int32_t>(id));
}

}  // namespace

struct Tokenizer::State {
  FathomTokenizer* handle;
  FathomTokenTable table;

  explicit State(FathomTokenizer* made) : handle(made), table(fathom_tokenizer_table(made)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { fathom_tokenizer_free(handle); }

  bool known(int32_t token) const { return token >= 0 && static_cast<size_t>(token) < table.count; }
  bool special(int32_t token) const { return known(token) && table.special[token] != 0; }

  std::string_view bytes(int32_t token, bool keep_special) const {
    if (!known(token) || (!keep_special && special(token))) return {};
    const size_t begin = table.offsets[token];
    return {reinterpret_cast<const char*>(table.bytes) + begin, table.offsets[token + 1] - begin};
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::make(const TextSource& source) {
  FathomText error{};
  FathomTokenizer* handle = nullptr;
  if (source.gguf) {
    handle = from_vocabulary(*source.gguf, &error);
  } else if (!source.tokenizer_json.empty()) {
    handle = fathom_tokenizer_from_json(as_slice(source.tokenizer_json),
                                        as_slice(source.tokenizer_config_json), &error);
  } else {
    return fail(
        "the checkpoint has no tokenizer: a Hugging Face directory needs tokenizer.json, "
        "a GGUF file the tokenizer.ggml keys");
  }
  if (handle == nullptr) return fail("tokenizer: {}", take_text(error));
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::make_unique<State>(handle)));
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, SpecialText special,
                                               bool add_special_tokens) const {
  const std::string valid = replace_invalid_utf8(text);
  FathomIds ids{};
  FathomText error{};
  if (!fathom_tokenizer_encode(state_->handle, as_slice(valid), special == SpecialText::kParse,
                               add_special_tokens, &ids, &error)) {
    return fail("tokenizer: {}", take_text(error));
  }
  std::vector<int32_t> tokens(ids.data, ids.data + ids.size);
  fathom_ids_free(ids);
  return tokens;
}

std::string Tokenizer::decode(std::span<const int32_t> tokens, bool keep_special) const {
  Detokenizer detokenizer(*this, keep_special);
  std::string text;
  for (const int32_t token : tokens) text += detokenizer.push(token);
  return text + detokenizer.finish();
}

std::string Tokenizer::piece(int32_t token) const {
  return take_text(fathom_tokenizer_piece(state_->handle, token));
}

std::string Tokenizer::token_bytes(int32_t token) const {
  return std::string(state_->bytes(token, false));
}

bool Tokenizer::is_special(int32_t token) const {
  return state_->special(token);
}

std::optional<int32_t> Tokenizer::id(std::string_view piece) const {
  return as_optional(fathom_tokenizer_id(state_->handle, as_slice(piece)));
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(state_->table.count);
}

std::optional<int32_t> Tokenizer::bos_token() const {
  return as_optional(state_->table.bos);
}

std::optional<int32_t> Tokenizer::eos_token() const {
  return as_optional(state_->table.eos);
}

std::string Tokenizer::bos_text() const {
  return bos_token() ? piece(*bos_token()) : "";
}

std::string Tokenizer::eos_text() const {
  return eos_token() ? piece(*eos_token()) : "";
}

Result<std::string> Tokenizer::to_json() const {
  FathomText text{};
  FathomText error{};
  if (!fathom_tokenizer_export(state_->handle, false, &text, &error)) {
    return fail("tokenizer: {}", take_text(error));
  }
  return take_text(text);
}

Result<GgufVocabulary> Tokenizer::to_gguf() const {
  FathomText text{};
  FathomText error{};
  if (!fathom_tokenizer_export(state_->handle, true, &text, &error)) {
    return fail("the tokenizer cannot be written for GGUF: {}", take_text(error));
  }
  FATHOM_TRY(const nlohmann::json keys,
             parse_json(take_text(text), "the tokenizer", {size_t{1} << 30, 100'000'000}));
  GgufVocabulary gguf;
  gguf.model = keys["model"].get<std::string>();
  gguf.pre_tokenizer = keys["pre"].get<std::string>();
  gguf.tokens = keys["tokens"].get<std::vector<std::string>>();
  gguf.token_types = keys["types"].get<std::vector<int32_t>>();
  gguf.scores = keys.value("scores", std::vector<float>());
  gguf.merges = keys.value("merges", std::vector<std::string>());
  const auto id = [&](const char* name) -> std::optional<int32_t> {
    return keys[name].is_null() ? std::nullopt : std::optional(keys[name].get<int32_t>());
  };
  gguf.bos_token = id("bos");
  gguf.eos_token = id("eos");
  gguf.unknown_token = id("unknown");
  gguf.add_bos = keys["add_bos"].get<bool>();
  gguf.add_eos = keys["add_eos"].get<bool>();
  if (keys.contains("add_space_prefix")) {
    gguf.add_space_prefix = keys["add_space_prefix"].get<bool>();
  }
  return gguf;
}

const FathomTokenizer* Tokenizer::bridge() const {
  return state_->handle;
}

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool keep_special)
    : tokenizer_(&tokenizer),
      keep_special_(keep_special),
      leading_spaces_(tokenizer.state_->table.leading_spaces) {}

std::string Detokenizer::push(int32_t token) {
  std::string_view bytes = tokenizer_->state_->bytes(token, keep_special_);
  while (leading_spaces_ > 0 && !bytes.empty()) {
    if (bytes.front() != ' ') {
      leading_spaces_ = 0;
    } else {
      bytes.remove_prefix(1);
      --leading_spaces_;
    }
  }
  held_ += bytes;
  const size_t certain = held_.size() - incomplete_utf8_suffix(held_);
  std::string text = replace_invalid_utf8(std::string_view(held_).substr(0, certain));
  held_.erase(0, certain);
  return text;
}

std::string Detokenizer::finish() {
  std::string text = replace_invalid_utf8(held_);
  held_.clear();
  return text;
}

}  // namespace fathom

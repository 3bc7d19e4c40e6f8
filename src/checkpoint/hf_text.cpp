#include "checkpoint/hf_text.h"

#include <algorithm>
#include <system_error>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/json_fields.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTokenizer = 256U << 20;
constexpr size_t kMaxText = 16U << 20;

// Empty if the file does not exist.
Result<std::string> read_optional(const fs::path& path, size_t most) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return std::string();
  if (error) return fail("cannot read {}: {}", path.string(), error.message());
  return read_text_file(path, most);
}

Status add_end_tokens(const JsonFields& fields, int64_t vocab_size, std::vector<int32_t>& ids) {
  const nlohmann::json* stored = fields.find("eos_token_id");
  if (stored == nullptr) return {};
  const nlohmann::json list = stored->is_array() ? *stored : nlohmann::json::array({*stored});
  for (const nlohmann::json& id : list) {
    if (!id.is_number_integer()) {
      return fail("{}: eos_token_id should be a token id or a list of them", fields.file());
    }
    const auto value = id.get<int64_t>();
    if (value >= 0 && value < vocab_size) ids.push_back(static_cast<int32_t>(value));
  }
  return {};
}

}  // namespace

Result<std::string> read_text_file(const fs::path& path, size_t most) {
  FATHOM_TRY(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  if (bytes.size() > most) {
    return fail("{} has {} bytes, more than the {} that are allowed", path.string(), bytes.size(),
                most);
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::string> find_chat_template(std::string_view json_text, std::string_view file) {
  FATHOM_TRY(const nlohmann::json json, parse_json(json_text, file, {kMaxText}));
  if (!json.is_object()) return fail("{} should hold a JSON object", file);
  const JsonFields fields(json, file);
  const nlohmann::json* stored = fields.find("chat_template");
  if (stored == nullptr) return std::string();
  if (stored->is_string()) return stored->get<std::string>();
  std::string chosen;
  if (!stored->is_array()) return fail("{}: chat_template should be a string or a list", file);
  for (const nlohmann::json& named : *stored) {
    if (!named.is_object()) return fail("{}: chat_template should list objects", file);
    const JsonFields entry(named, file);
    FATHOM_TRY(const auto name, entry.get_string("name"));
    FATHOM_TRY(const auto text, entry.get_string("template"));
    if (name == "default") return text.value_or("");
    if (chosen.empty()) chosen = text.value_or("");
  }
  return chosen;
}

Result<TextSource> read_hf_text(const fs::path& directory) {
  TextSource text;
  FATHOM_TRY(text.tokenizer_json, read_optional(directory / "tokenizer.json", kMaxTokenizer));
  const fs::path config_path = directory / "tokenizer_config.json";
  FATHOM_TRY(text.tokenizer_config_json, read_optional(config_path, kMaxText));
  FATHOM_TRY(text.chat_template, read_optional(directory / "chat_template.jinja", kMaxText));
  const fs::path template_path = directory / "chat_template.json";
  if (text.chat_template.empty()) {
    FATHOM_TRY(const std::string json, read_optional(template_path, kMaxText));
    if (!json.empty()) {
      FATHOM_TRY(text.chat_template, find_chat_template(json, template_path.string()));
    }
  }
  if (text.chat_template.empty() && !text.tokenizer_config_json.empty()) {
    FATHOM_TRY(text.chat_template,
               find_chat_template(text.tokenizer_config_json, config_path.string()));
  }
  return text;
}

Result<GenerationDefaults> parse_hf_generation(std::string_view generation_config,
                                               std::string_view config, int64_t vocab_size) {
  GenerationDefaults defaults;
  if (!generation_config.empty()) {
    FATHOM_TRY(const nlohmann::json json, parse_json(generation_config, "generation_config.json"));
    if (!json.is_object()) return fail("generation_config.json should hold a JSON object");
    const JsonFields fields(json, "generation_config.json");
    FATHOM_CHECK(add_end_tokens(fields, vocab_size, defaults.eos_tokens));
    FATHOM_TRY(const bool sample, fields.bool_or("do_sample", true));
    if (sample) {
      FATHOM_TRY(const auto temperature, fields.get_float("temperature"));
      if (temperature) defaults.temperature = static_cast<float>(*temperature);
      FATHOM_TRY(const auto top_p, fields.get_float("top_p"));
      if (top_p) defaults.top_p = static_cast<float>(*top_p);
      FATHOM_TRY(const auto top_k, fields.get_int("top_k"));
      if (top_k) defaults.top_k = static_cast<int32_t>(std::clamp<int64_t>(*top_k, 0, 1 << 30));
    }
  }
  if (defaults.eos_tokens.empty() && !config.empty()) {
    FATHOM_TRY(const nlohmann::json json, parse_json(config, "config.json"));
    if (!json.is_object()) return fail("config.json should hold a JSON object");
    const JsonFields fields(json, "config.json");
    FATHOM_CHECK(add_end_tokens(fields, vocab_size, defaults.eos_tokens));
  }
  return defaults;
}

}  // namespace fathom

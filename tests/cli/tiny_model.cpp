#include "cli/tiny_model.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace fathom::test {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVocabulary = 96;

// Byte-level BPE without merges: a token for each character of ordinary text but for the last of
// them; the braces of JSON stand in two places of less use.
Json tokenizer_json() {
  Json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}, {"<think>", 3}, {"</think>", 4}};
  // Byte-level spelling of a blank and of a line's end.
  vocabulary["\xC4\xA0"] = 5;
  vocabulary["\xC4\x8A"] = 6;
  int next = 7;
  for (char c = '!'; c <= '~' && next < kVocabulary; ++c) {
    vocabulary[std::string(1, c == '#' ? '{' : c == '$' ? '}' : c)] = next++;
  }
  Json added = Json::array();
  for (const char* token : {"<unk>", "<s>", "</s>", "<think>", "</think>"}) {
    // As in DeepSeek-R1: the thinking tags are whole tokens, yet part of the text.
    const bool special = std::string(token).find("think") == std::string::npos;
    added.push_back({{"id", vocabulary[token]},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"},
            {"add_prefix_space", false},
            {"trim_offsets", true},
            {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "ByteLevel"},
            {"add_prefix_space", true},
            {"trim_offsets", true},
            {"use_regex", true}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", "<unk>"},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocabulary},
            {"merges", Json::array()}}}};
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << text).flush()) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

std::string golden_model(const std::string& name) {
  return std::string(FATHOM_TEST_DATA) + "/golden/models/" + name;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void TinyModel::write(const std::filesystem::path& directory) const {
  const std::filesystem::path source = golden_model("llama_gqa_tied");
  Json config = Json::parse(read_file(source / "config.json"));
  config["max_position_embeddings"] = 200000;
  if (!ends) config.erase("eos_token_id");
  write_file(directory / "config.json", config.dump(1));
  std::filesystem::copy_file(source / "model.safetensors", directory / "model.safetensors");
  write_file(directory / "tokenizer.json", tokenizer_json().dump(1));
  Json tokenizer_config = {{"bos_token", "<s>"}};
  if (ends) tokenizer_config["eos_token"] = "</s>";
  write_file(directory / "tokenizer_config.json", tokenizer_config.dump(1));
  write_file(directory / "chat_template.jinja",
             std::string("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
                         "{% if add_generation_prompt %}[assistant]") +
                 (thinks ? "<think>\n" : "") + "{% endif %}");
}

const std::string& talking_model() {
  static const TemporaryDirectory directory;
  static const std::string path = [] {
    TinyModel().write(directory.path());
    return directory.path().string();
  }();
  return path;
}

const std::string& endless_model() {
  static const TemporaryDirectory directory;
  static const std::string path = [] {
    TinyModel{.ends = false}.write(directory.path());
    return directory.path().string();
  }();
  return path;
}

}  // namespace fathom::test

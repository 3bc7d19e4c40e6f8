// Reads tests/golden/text: the corpus, the reference's ids and texts, and the tokenizers.
#pragma once

#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace fathom::text_golden {

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string golden_path(const std::string& name) {
  return std::string(FATHOM_TEST_DATA) + "/golden/text/" + name;
}

// The large tokenizers, which the build unpacks.
inline std::string unpacked_path(const std::string& name) {
  return std::string(FATHOM_UNPACKED_DATA) + "/" + name;
}

inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

inline std::vector<std::string> read_lines(const std::string& name) {
  std::vector<std::string> lines = split(read_file(golden_path(name)), '\n');
  lines.pop_back();  // the file ends with a line's end
  return lines;
}

// Undoes escape() of make_text_golden.py: \\ and \xNN.
inline std::string unescape(std::string_view line) {
  std::string bytes;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      bytes += line[i];
    } else if (line[i + 1] == '\\') {
      bytes += line[++i];
    } else {
      int code = 0;
      std::from_chars(&line[i + 2], &line[i + 2] + 2, code, 16);
      bytes += static_cast<char>(code);
      i += 3;
    }
  }
  return bytes;
}

inline std::vector<std::string> read_corpus() {
  std::vector<std::string> texts = read_lines("corpus.txt");
  for (std::string& text : texts) text = unescape(text);
  return texts;
}

inline std::vector<int32_t> parse_ids(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<int32_t>(in), {}};
}

inline std::unique_ptr<Tokenizer> make_tokenizer(const TextSource& source) {
  auto tokenizer = Tokenizer::make(source);
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

inline TextSource huggingface_source(const std::string& name) {
  TextSource source;
  source.tokenizer_json = read_file(unpacked_path(name + "/tokenizer.json"));
  source.tokenizer_config_json = read_file(unpacked_path(name + "/tokenizer_config.json"));
  return source;
}

// A vocabulary as gguf_vocabulary() of make_text_golden.py wrote it.
inline GgufVocabulary vocabulary_from_json(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  auto id = [&](const char* key) -> std::optional<int32_t> {
    return json[key].is_null() ? std::nullopt : std::optional(json[key].get<int32_t>());
  };
  auto flag = [&](const char* key) -> std::optional<bool> {
    return json[key].is_null() ? std::nullopt : std::optional(json[key].get<bool>());
  };
  GgufVocabulary vocabulary;
  vocabulary.model = json["model"];
  vocabulary.pre_tokenizer = json["pre_tokenizer"];
  vocabulary.tokens = json["tokens"].get<std::vector<std::string>>();
  vocabulary.scores = json["scores"].get<std::vector<float>>();
  vocabulary.token_types = json["token_types"].get<std::vector<int32_t>>();
  vocabulary.merges = json["merges"].get<std::vector<std::string>>();
  vocabulary.bos_token = id("bos");
  vocabulary.eos_token = id("eos");
  vocabulary.unknown_token = id("unknown");
  vocabulary.add_bos = flag("add_bos");
  vocabulary.add_space_prefix = flag("add_space_prefix");
  return vocabulary;
}

// The vocabulary that GGUF's converters make of a tokenizer.json: special added tokens become
// "control", the other added ones "user defined".
inline GgufVocabulary vocabulary_of(const std::string& tokenizer_json,
                                    const std::string& pre_tokenizer) {
  const nlohmann::json json = nlohmann::json::parse(tokenizer_json);
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre_tokenizer = pre_tokenizer;
  auto put = [&](size_t id, const std::string& token, int32_t type) {
    for (size_t missing = vocabulary.tokens.size(); missing <= id; ++missing) {
      vocabulary.tokens.push_back("[PAD" + std::to_string(missing) + "]");
      vocabulary.token_types.push_back(5);
    }
    vocabulary.tokens[id] = token;
    vocabulary.token_types[id] = type;
  };
  for (const auto& [token, id] : json["model"]["vocab"].items()) put(id, token, 1);
  for (const auto& token : json["added_tokens"]) {
    put(token["id"], token["content"], token["special"].get<bool>() ? 3 : 4);
  }
  for (const auto& merge : json["model"]["merges"]) {
    vocabulary.merges.push_back(merge.is_string() ? merge.get<std::string>()
                                                  : merge[0].get<std::string>() + " " +
                                                        merge[1].get<std::string>());
  }
  return vocabulary;
}

// Compares the ids of every text of the corpus, as plain text and with special tokens parsed.
inline void expect_golden_ids(const Tokenizer& tokenizer, const std::string& name) {
  const std::vector<std::string> texts = read_corpus();
  const std::vector<std::string> lines = read_lines(name + ".ids.txt");
  ASSERT_GE(texts.size(), 500u);
  ASSERT_EQ(texts.size(), lines.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::string> columns = split(lines[i], '\t');
    ASSERT_EQ(columns.size(), 2u);
    const std::string& parsed = columns[1] == "=" ? columns[0] : columns[1];
    const auto plain_ids = tokenizer.encode(texts[i], SpecialText::kPlain, false);
    const auto parsed_ids = tokenizer.encode(texts[i], SpecialText::kParse, false);
    ASSERT_TRUE(plain_ids && parsed_ids);
    EXPECT_EQ(*plain_ids, parse_ids(columns[0])) << "text " << i << ": " << texts[i];
    EXPECT_EQ(*parsed_ids, parse_ids(parsed)) << "text " << i << ", parsed: " << texts[i];
  }
}

// Compares the texts of id sequences, at once and streamed token by token.
inline void expect_golden_texts(const Tokenizer& tokenizer, const std::string& name) {
  for (const std::string& line : read_lines(name + ".decode.txt")) {
    const std::vector<std::string> columns = split(line, '\t');
    ASSERT_EQ(columns.size(), 3u);
    const std::vector<int32_t> ids = parse_ids(columns[0]);
    for (const bool keep_special : {false, true}) {
      const std::string& golden = keep_special && columns[2] != "=" ? columns[2] : columns[1];
      EXPECT_EQ(tokenizer.decode(ids, keep_special), unescape(golden)) << columns[0];
      Detokenizer detokenizer(tokenizer, keep_special);
      std::string streamed;
      for (const int32_t id : ids) streamed += detokenizer.push(id);
      EXPECT_EQ(streamed + detokenizer.finish(), unescape(golden)) << columns[0];
    }
  }
}

}  // namespace fathom::text_golden

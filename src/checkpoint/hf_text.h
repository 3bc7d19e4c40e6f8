// The text side of a Hugging Face directory: tokenizer.json, tokenizer_config.json, the chat
// template wherever it lies, and generation_config.json.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// A small file as a whole; fails if it is larger than `most` bytes.
Result<std::string> read_text_file(const std::filesystem::path& path, size_t most);

// Files that are missing leave their parts empty.
Result<TextSource> read_hf_text(const std::filesystem::path& directory);

// generation_config.json over config.json (which may name the end tokens too). Either text may be
// empty. Ids outside the vocabulary are left out: a model cannot produce them.
Result<GenerationDefaults> parse_hf_generation(std::string_view generation_config,
                                               std::string_view config, int64_t vocab_size);

// The chat template in a tokenizer_config.json or chat_template.json: a string, or a list of named
// ones, of which "default" is taken, or else the first. Empty if there is none.
Result<std::string> find_chat_template(std::string_view json_text, std::string_view file);

}  // namespace fathom

// A checkpoint that can talk: a golden's random weights with a small tokenizer and a chat template,
// written to a directory of its own. It says nonsense, and the same nonsense for the same seed.
#pragma once

#include <filesystem>
#include <string>

#include "temporary_directory.h"

namespace fathom::test {

struct TinyModel {
  bool thinks = false;  // the template opens <think>
  bool ends = true;     // there is an end-of-answer token; else answers go on for ever

  void write(const std::filesystem::path& directory) const;
};

// The one for tests that need nothing special, made once: ends, does not think.
const std::string& talking_model();
// Answers until the context of 200,000 tokens is full.
const std::string& endless_model();

std::string golden_model(const std::string& name);  // a path under tests/golden/models
std::string read_file(const std::filesystem::path& path);

}  // namespace fathom::test

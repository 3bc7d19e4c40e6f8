// Reads tests/golden's *.golden files: prompts and the logits that a reference gave for them. The
// format is described in golden_file.py. A file that cannot be read is a failed test.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

namespace fathom {

struct GoldenPrompt {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;  // which positions have logits, ascending
  std::vector<float> logits;       // [positions, vocab_size]
};

struct GoldenFile {
  int32_t vocab_size = 0;
  std::vector<GoldenPrompt> prompts;
};

template <typename T>
std::vector<T> read_array(std::istream& in, size_t count) {
  std::vector<T> values(count);
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  return values;
}

inline GoldenFile read_golden(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  GoldenFile file;
  const auto header = read_array<int32_t>(in, 2);
  file.vocab_size = header[0];
  for (int32_t i = 0; in && i < header[1]; ++i) {
    const auto sizes = read_array<int32_t>(in, 2);
    if (!in) break;
    const auto rows = static_cast<size_t>(sizes[1]);
    GoldenPrompt prompt;
    prompt.tokens = read_array<int32_t>(in, static_cast<size_t>(sizes[0]));
    prompt.positions = read_array<int32_t>(in, rows);
    prompt.logits = read_array<float>(in, rows * static_cast<size_t>(file.vocab_size));
    file.prompts.push_back(std::move(prompt));
  }
  EXPECT_TRUE(in.good() && !file.prompts.empty()) << "cannot read " << path;
  return file;
}

}  // namespace fathom

// A reference model's logits over a text, kept in a file, so that many smaller models can be
// compared with it and it is computed once (`eval ppl --save-logits`, `eval kl
// --reference-logits`).
//
// The file, little-endian: 8 bytes "FTHMLGTS"; then as 64-bit integers the version (1), the
// vocabulary's size, the context and the stride of the windows (windows.h), and how many tokens the
// text has; the tokens, 32 bits each; a row for each token that is scored, in their order: the
// lowest finite logit and a step as F32, and for each token of the vocabulary 16 bits, 0 for minus
// infinity, else 1 + the steps above the lowest. A row's range is some 50, so a logit is off by at
// most 0.0004 and a divergence of this row by about its square.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "checkpoint/output_file.h"
#include "evaluate/windows.h"

namespace fathom {

// One thread. The file gets its name by commit().
class LogitsWriter {
 public:
  // Takes the disk's room for all rows. Fails as OutputFile::create() and cut_windows() do.
  static Result<LogitsWriter> create(const std::filesystem::path& path,
                                     const std::vector<int32_t>& tokens, const Windowing& windowing,
                                     int64_t vocab);

  Status add(std::span<const float> logits);  // the next row
  Status commit();

 private:
  LogitsWriter(OutputFile file, int64_t begin, int64_t vocab)
      : file_(std::move(file)), at_(begin), codes_(static_cast<size_t>(vocab)) {}

  OutputFile file_;
  int64_t at_;
  std::vector<uint16_t> codes_;
};

// Immutable.
class SavedLogits {
 public:
  // Fails for a file that is none, is cut off or contradicts itself.
  static Result<SavedLogits> open(const std::filesystem::path& path);

  int64_t vocab() const { return vocab_; }
  const Windowing& windowing() const { return windowing_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int64_t rows() const { return rows_; }
  void row(int64_t index, std::span<float> logits) const;

 private:
  explicit SavedLogits(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  int64_t vocab_ = 0;
  Windowing windowing_;
  std::vector<int32_t> tokens_;
  int64_t rows_ = 0;
  int64_t begin_ = 0;  // of the first row
};

}  // namespace fathom

// Writes one GGUF file, version 3: header, metadata, tensor table, data, each tensor at a multiple
// of the alignment. Specification: docs/gguf.md in ggml-org/ggml.
//
// All tensors are announced first; their data may then come in any order and in pieces, so that
// nothing but the piece at hand is in memory. The file gets its name when it is whole. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_metadata.h"
#include "checkpoint/output_file.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace fathom {

// The number that GGUF knows a type by; nothing for types that it does not have.
std::optional<uint32_t> gguf_type_number(DType dtype);

class GgufOutput {
 public:
  struct Announced {
    std::string name;  // GGUF's
    DType dtype = DType::kF32;
    Shape shape;  // outermost first
  };

  // Metadata: all of `source` but the keys that say how it was split or quantised, then
  // `replaced`, which are U32. The file's alignment is the source's.
  static Result<GgufOutput> create(const OutputPlace& place, const GgufMetadata& source,
                                   const std::vector<std::pair<std::string, uint32_t>>& replaced,
                                   const std::vector<Announced>& tensors);

  // Part of the data of the index-th tensor, from its byte `offset` on.
  Status write(size_t index, int64_t offset, std::span<const std::byte> bytes);
  Status sync() { return file_.sync(); }
  void keep() { file_.keep(); }
  Status commit() { return file_.commit(); }
  int64_t bytes() const { return bytes_; }  // of the whole file

 private:
  GgufOutput(OutputFile file, std::vector<int64_t> offsets, int64_t bytes)
      : file_(std::move(file)), offsets_(std::move(offsets)), bytes_(bytes) {}

  OutputFile file_;
  std::vector<int64_t> offsets_;  // of each tensor, from the file's start
  int64_t bytes_;
};

}  // namespace fathom

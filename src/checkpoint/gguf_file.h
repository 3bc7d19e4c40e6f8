// The container format GGUF, versions 2 and 3: header, metadata, tensor table, data.
// Specification: docs/gguf.md in ggml-org/ggml.
//
// Everything points into the bytes given, which must outlive the result. Nothing in a file is
// trusted: counts and lengths are compared with the bytes that are left before memory is reserved;
// sizes are multiplied with overflow checks; every tensor must lie inside the file, aligned, and
// overlap no other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_metadata.h"
#include "tensor/tensor.h"

namespace fathom {

struct GgufFile {
  uint32_t version = 0;
  GgufMetadata metadata;
  std::vector<Tensor> tensors;  // names and order of the file; shapes outermost first
};

// `file` names the source in errors.
Result<GgufFile> parse_gguf(std::span<const std::byte> bytes, const std::string& file);

// The paths of all parts of a split model, given any of them ("x-00002-of-00003.gguf"), in order;
// the path itself if its name is not that of a part. Does not touch the disk.
std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path);

}  // namespace fathom

// The container format safetensors: a JSON header, then the tensors' bytes.
// Specification: the README of huggingface/safetensors.
//
// Tensors point into the bytes given, which must outlive them; their data may be at any address
// (the format does not align it). Checked as strictly as the reference implementation does: the
// header has at most 100 MB, no key occurs twice, every byte belongs to exactly one tensor, and
// shape times type gives the bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace fathom {

// `file` names the source in errors. Tensors come in the order of their bytes.
Result<std::vector<Tensor>> parse_safetensors(std::span<const std::byte> bytes,
                                              const std::string& file);

}  // namespace fathom

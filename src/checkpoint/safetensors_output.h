// Writes one safetensors file: header, then the tensors' bytes in the order announced.
// Specification: the README of huggingface/safetensors. Data may come in any order and in pieces;
// the file gets its name when it is whole. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/output_file.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace fathom {

class SafetensorsOutput {
 public:
  struct Announced {
    std::string name;
    DType dtype = DType::kF32;  // a plain type
    Shape shape;
  };

  static Result<SafetensorsOutput> create(const OutputPlace& place,
                                          const std::vector<Announced>& tensors);

  // Part of the data of the index-th tensor, from its byte `offset` on.
  Status write(size_t index, int64_t offset, std::span<const std::byte> bytes) {
    return file_.write(offsets_[index] + offset, bytes);
  }
  Status sync() { return file_.sync(); }
  void keep() { file_.keep(); }
  Status commit() { return file_.commit(); }
  int64_t bytes() const { return bytes_; }  // of the whole file

 private:
  SafetensorsOutput(OutputFile file, std::vector<int64_t> offsets, int64_t bytes)
      : file_(std::move(file)), offsets_(std::move(offsets)), bytes_(bytes) {}

  OutputFile file_;
  std::vector<int64_t> offsets_;
  int64_t bytes_;
};

}  // namespace fathom

// A quantised matrix in the parts that a safetensors file holds it in (checkpoint/hf_packed.h says
// what they are): compressed-tensors' "pack-quantized", or AutoAWQ's GEMM layout, whose words run
// across the rows, so that a matrix is held until its last row is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors_output.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace fathom {

enum class PackedLayout { kCompressedTensors, kAwq };

// "…q_proj.weight" of rows x width as announced parts.
std::vector<SafetensorsOutput::Announced> packed_parts(PackedLayout layout, const Tensor& matrix,
                                                       DType type);

bool has_zero_points(DType dtype);
int bits_of(DType dtype);  // of a group type's code

class MatrixPacker {
 public:
  // first: the index of the first of its parts.
  MatrixPacker(PackedLayout layout, DType type, int64_t rows, int64_t width, size_t first)
      : layout_(layout), type_(type), rows_(rows), width_(width), first_(first) {}

  // Whole rows from `row` on, as blocks of the type. Rows may come in any order, each once.
  Status write(SafetensorsOutput& file, int64_t row, std::span<const std::byte> blocks);

 private:
  int64_t groups() const { return width_ / info(type_).block_elements; }
  Status write_compressed(SafetensorsOutput& file, int64_t row, std::span<const std::byte> blocks);
  Status finish_compressed(SafetensorsOutput& file);
  void add_codes(int64_t row, std::span<const std::byte> blocks);
  Status finish_awq(SafetensorsOutput& file);

  PackedLayout layout_;
  DType type_;
  int64_t rows_;
  int64_t width_;
  size_t first_;
  int64_t seen_ = 0;              // rows
  std::vector<uint8_t> zeros_;    // [rows, groups]
  std::vector<uint8_t> codes_;    // AWQ: [rows, width]
  std::vector<uint16_t> scales_;  // AWQ: [rows, groups], halves
};

}  // namespace fathom

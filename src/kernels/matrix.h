// Weights as kernels hold them, and one matrix product to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tensor/tensor.h"

namespace fathom {

// A weight matrix [out, in] in the layout of one Kernels object, immutable and shared by reference.
// `layout` is private to the implementation that made it.
struct PackedMatrix {
  int64_t out = 0;
  int64_t in = 0;
  DType dtype = DType::kF32;  // as stored in the checkpoint
  int64_t bytes = 0;          // memory held by `data`, 0 if it borrows
  int layout = 0;
  std::shared_ptr<const std::byte> data;  // owned (aligned to 64), or an alias of the checkpoint
  Tensor source;                          // valid only if it borrows

  bool empty() const { return out == 0; }
};

// y[i] = x[x_rows ? x_rows[i] : i] * w^T for 0 <= i < rows.
struct MatmulJob {
  const PackedMatrix* w = nullptr;
  const float* x = nullptr;  // [*, w->in]
  int64_t x_stride = 0;
  const int32_t* x_rows = nullptr;  // gather (tokens of an expert); null: rows 0, 1, 2, ...
  int64_t rows = 0;
  float* y = nullptr;  // [rows, w->out]
  int64_t y_stride = 0;
  // Where weights are quantised, kernels may round x to 8 bits a group; with this to about 15, at
  // twice the arithmetic. Values of attention gain most by it (docs/performance.md).
  bool fine_input = false;
};

}  // namespace fathom

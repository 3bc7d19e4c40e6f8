// A tensor that lives in somebody else's memory (a mapped checkpoint): name, type, shape, bytes.
// Row-major, outermost dimension first: a linear layer's weight is [out, in] and a row is
// contiguous. Does not own its data; whoever made it (the Checkpoint) must outlive it. Data may lie
// at any address (safetensors does not align it): read it through memcpy or unaligned loads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tensor/dtype.h"

namespace fathom {

class Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t elements() const;       // 1 for rank 0
  std::string to_string() const;  // "[4096, 11008]"
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

struct Tensor {
  std::string name;  // the name in Hugging Face's convention, whatever the file called it
  DType dtype = DType::kF32;
  Shape shape;
  const std::byte* data = nullptr;
  int64_t bytes = 0;

  // F8E4M3: one scale for each 128 x 128 block, [ceil(rows/128), ceil(cols/128)], F32.
  // I8_ROW: one for each row, [rows], F32.
  const float* block_scales = nullptr;
};

}  // namespace fathom

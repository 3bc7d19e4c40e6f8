#include <algorithm>

#include "kernels/packed/packed_kernels.h"

namespace fathom {
namespace {

// Rows a thread takes at once: so many that their work outweighs the hand-out.
int64_t row_grain(int64_t cols) {
  constexpr int64_t kElements = 16384;
  return std::max<int64_t>(1, kElements / std::max<int64_t>(1, cols));
}

}  // namespace

PackedKernels::PackedKernels(const VectorOps& ops, const ThreadOptions& threads)
    : ops_(ops),
      pool_(threads),
      weights_(pool_.placement()),
      scratch_(static_cast<size_t>(pool_.size())) {}

void PackedKernels::rms_norm(const float* x, int64_t x_stride, const float* weight, float eps,
                             int64_t rows, int64_t cols, float* out, int64_t out_stride) {
  pool_.parallel_for(rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      ops_.rms_norm(x + r * x_stride, weight, eps, cols, out + r * out_stride);
    }
  });
}

void PackedKernels::rope(float* x, int64_t stride, int64_t rows, int64_t heads, int64_t head_stride,
                         int64_t dim, const float* cos_sin, bool interleaved) {
  pool_.parallel_for(rows, row_grain(heads * dim), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t h = 0; h < heads; ++h) {
        ops_.rope(x + r * stride + h * head_stride, dim, cos_sin + r * dim, interleaved);
      }
    }
  });
}

void PackedKernels::swiglu(const float* gate, const float* up, int64_t rows, int64_t cols,
                           int64_t stride, float* out) {
  // The exponential makes this the dearest of them: share a single long row as well.
  constexpr int64_t kColumns = 2048;
  const int64_t pieces = (cols + kColumns - 1) / kColumns;
  pool_.parallel_for(rows * pieces, 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % pieces * kColumns;
      const int64_t at = i / pieces * stride + column;
      ops_.swiglu(gate + at, up + at, std::min(kColumns, cols - column), out + at);
    }
  });
}

void PackedKernels::add(float* x, int64_t x_stride, const float* y, int64_t y_stride, int64_t rows,
                        int64_t cols) {
  pool_.parallel_for(rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) ops_.add(x + r * x_stride, y + r * y_stride, cols);
  });
}

void PackedKernels::add_bias(float* x, int64_t stride, const float* bias, int64_t rows,
                             int64_t cols) {
  add(x, stride, bias, 0, rows, cols);
}

void PackedKernels::scatter_add(const float* x, int64_t x_stride, std::span<const int32_t> target,
                                std::span<const float> scale, int64_t cols, float* out,
                                int64_t out_stride) {
  // Threads share columns, so that rows with equal targets are added in order.
  const auto rows = static_cast<int64_t>(target.size());
  const int64_t grain = std::max<int64_t>(64, 16384 / std::max<int64_t>(1, rows) / 16 * 16);
  pool_.parallel_for(cols, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < rows; ++i) {
      ops_.add_scaled(x + i * x_stride + begin, scale[static_cast<size_t>(i)], end - begin,
                      out + target[static_cast<size_t>(i)] * out_stride + begin);
    }
  });
}

}  // namespace fathom

#include <algorithm>
#include <cmath>

#include "kernels/reference/dot.h"
#include "kernels/reference/reference_kernels.h"

namespace fathom {
namespace {

// Rows a thread takes at once: below this many elements starting a region costs more than it saves.
int64_t row_grain(int64_t cols) {
  constexpr int64_t kElements = 8192;
  return std::max<int64_t>(1, kElements / std::max<int64_t>(1, cols));
}

}  // namespace

ReferenceKernels::ReferenceKernels(const ThreadOptions& threads)
    : pool_(threads), scratch_(static_cast<size_t>(pool_.size())) {}

void ReferenceKernels::rms_norm(const float* x, int64_t x_stride, const float* weight, float eps,
                                int64_t rows, int64_t cols, float* out, int64_t out_stride) {
  pool_.parallel_for(rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* in = x + r * x_stride;
      float* to = out + r * out_stride;
      const float mean = reference::dot(in, in, cols) / static_cast<float>(cols);
      const float scale = 1.0F / std::sqrt(mean + eps);
      for (int64_t c = 0; c < cols; ++c) to[c] = in[c] * scale * weight[c];
    }
  });
}

void ReferenceKernels::rope(float* x, int64_t stride, int64_t rows, int64_t heads,
                            int64_t head_stride, int64_t dim, const float* cos_sin,
                            bool interleaved) {
  const int64_t half = dim / 2;
  // Pair i is (first + i * step, first + i * step + apart).
  const int64_t step = interleaved ? 2 : 1;
  const int64_t apart = interleaved ? 1 : half;
  pool_.parallel_for(rows, row_grain(heads * dim), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* cosine = cos_sin + r * dim;
      const float* sine = cosine + half;
      for (int64_t h = 0; h < heads; ++h) {
        float* head = x + r * stride + h * head_stride;
        for (int64_t i = 0; i < half; ++i) {
          float& a = head[i * step];
          float& b = head[i * step + apart];
          const float rotated = a * cosine[i] - b * sine[i];
          b = b * cosine[i] + a * sine[i];
          a = rotated;
        }
      }
    }
  });
}

void ReferenceKernels::swiglu(const float* gate, const float* up, int64_t rows, int64_t cols,
                              int64_t stride, float* out) {
  pool_.parallel_for(rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = r * stride; c < r * stride + cols; ++c) {
        out[c] = gate[c] / (1.0F + std::exp(-gate[c])) * up[c];
      }
    }
  });
}

void ReferenceKernels::add(float* x, int64_t x_stride, const float* y, int64_t y_stride,
                           int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) x[r * x_stride + c] += y[r * y_stride + c];
  }
}

void ReferenceKernels::add_bias(float* x, int64_t stride, const float* bias, int64_t rows,
                                int64_t cols) {
  add(x, stride, bias, 0, rows, cols);
}

void ReferenceKernels::scatter_add(const float* x, int64_t x_stride,
                                   std::span<const int32_t> target, std::span<const float> scale,
                                   int64_t cols, float* out, int64_t out_stride) {
  for (size_t i = 0; i < target.size(); ++i) {
    const float* from = x + static_cast<int64_t>(i) * x_stride;
    float* to = out + target[i] * out_stride;
    for (int64_t c = 0; c < cols; ++c) to[c] += scale[i] * from[c];
  }
}

}  // namespace fathom

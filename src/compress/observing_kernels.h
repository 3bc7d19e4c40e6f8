// Kernels that compute as another object does and let somebody see what each watched matrix
// multiplies with. For calibration: the layers above need not know.
//
// A matrix is known by its stored tensor's name (matrices that are computed from stored ones have
// none and cannot be watched). One thread, as for any Kernels.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "kernels/kernels.h"

namespace fathom {

class ObservingKernels final : public Kernels {
 public:
  // Rows of a matrix product's input, as in MatmulJob.
  using Observer = std::function<void(const MatmulJob& job)>;

  // `inner` must outlive this.
  explicit ObservingKernels(Kernels& inner) : inner_(inner) {}

  // Before the matrix is packed. One observer a matrix.
  void watch(const std::string& tensor, Observer observer) {
    watched_[tensor] = std::move(observer);
  }
  void forget_all() {
    watched_.clear();
    observers_.clear();
  }

  std::string_view name() const override { return inner_.name(); }
  ThreadPool& threads() override { return inner_.threads(); }
  const MemoryPlacement& placement() const override { return inner_.placement(); }
  PackedMatrix pack(const Tensor& matrix) override;
  uint32_t layout_version() const override { return inner_.layout_version(); }
  bool can_be_packed(const PackedMatrix& matrix) const override {
    return inner_.can_be_packed(matrix);
  }
  CacheType default_cache_type() const override { return inner_.default_cache_type(); }
  void matmul(std::span<const MatmulJob> jobs) override;
  void gather_rows(const PackedMatrix& matrix, std::span<const int32_t> row_ids, float* out,
                   int64_t out_stride) override {
    inner_.gather_rows(matrix, row_ids, out, out_stride);
  }
  void attention(const AttentionShape& shape, const CacheView& cache,
                 std::span<const AttentionSequence> sequences) override {
    inner_.attention(shape, cache, sequences);
  }
  void store_cache(const CacheView& cache, CachePart part, const float* x, int64_t stride,
                   std::span<const CacheSlot> slots) override {
    inner_.store_cache(cache, part, x, stride, slots);
  }
  void rms_norm(const float* x, int64_t x_stride, const float* weight, float eps, int64_t rows,
                int64_t cols, float* out, int64_t out_stride) override {
    inner_.rms_norm(x, x_stride, weight, eps, rows, cols, out, out_stride);
  }
  void rope(float* x, int64_t stride, int64_t rows, int64_t heads, int64_t head_stride, int64_t dim,
            const float* cos_sin, bool interleaved) override {
    inner_.rope(x, stride, rows, heads, head_stride, dim, cos_sin, interleaved);
  }
  void swiglu(const float* gate, const float* up, int64_t rows, int64_t cols, int64_t stride,
              float* out) override {
    inner_.swiglu(gate, up, rows, cols, stride, out);
  }
  void add(float* x, int64_t x_stride, const float* y, int64_t y_stride, int64_t rows,
           int64_t cols) override {
    inner_.add(x, x_stride, y, y_stride, rows, cols);
  }
  void add_bias(float* x, int64_t stride, const float* bias, int64_t rows, int64_t cols) override {
    inner_.add_bias(x, stride, bias, rows, cols);
  }
  void scatter_add(const float* x, int64_t x_stride, std::span<const int32_t> target,
                   std::span<const float> scale, int64_t cols, float* out,
                   int64_t out_stride) override {
    inner_.scatter_add(x, x_stride, target, scale, cols, out, out_stride);
  }

 private:
  static const std::byte* place(const PackedMatrix& matrix) {
    return matrix.bytes > 0 ? matrix.data.get() : matrix.source.data;
  }

  Kernels& inner_;
  std::unordered_map<std::string, Observer> watched_;
  std::unordered_map<const std::byte*, Observer> observers_;  // by where the packed bytes lie
};

}  // namespace fathom

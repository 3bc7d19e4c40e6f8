// The plain implementation every other one is compared with: F32 throughout, weights decoded row
// by row from where the checkpoint has them (so the checkpoint must stay mapped), cache in F32
// unless it is told otherwise.
// Runs on every machine. A row of a result is computed in the same order whatever else is in the
// batch. Scratch is kept per thread and grows to its largest use.
#pragma once

#include <memory>
#include <vector>

#include "kernels/kernels.h"

namespace fathom {

class ReferenceKernels final : public Kernels {
 public:
  explicit ReferenceKernels(const ThreadOptions& threads);

  std::string_view name() const override { return "reference"; }
  ThreadPool& threads() override { return pool_; }
  const MemoryPlacement& placement() const override { return pool_.placement(); }

  PackedMatrix pack(const Tensor& matrix) override;
  CacheType default_cache_type() const override { return CacheType::kF32; }
  void matmul(std::span<const MatmulJob> jobs) override;
  void gather_rows(const PackedMatrix& matrix, std::span<const int32_t> row_ids, float* out,
                   int64_t out_stride) override;

  void attention(const AttentionShape& shape, const CacheView& cache,
                 std::span<const AttentionSequence> sequences) override;
  void store_cache(const CacheView& cache, CachePart part, const float* x, int64_t stride,
                   std::span<const CacheSlot> slots) override;

  void rms_norm(const float* x, int64_t x_stride, const float* weight, float eps, int64_t rows,
                int64_t cols, float* out, int64_t out_stride) override;
  void rope(float* x, int64_t stride, int64_t rows, int64_t heads, int64_t head_stride, int64_t dim,
            const float* cos_sin, bool interleaved) override;
  void swiglu(const float* gate, const float* up, int64_t rows, int64_t cols, int64_t stride,
              float* out) override;
  void add(float* x, int64_t x_stride, const float* y, int64_t y_stride, int64_t rows,
           int64_t cols) override;
  void add_bias(float* x, int64_t stride, const float* bias, int64_t rows, int64_t cols) override;
  void scatter_add(const float* x, int64_t x_stride, std::span<const int32_t> target,
                   std::span<const float> scale, int64_t cols, float* out,
                   int64_t out_stride) override;

 private:
  ThreadPool pool_;
  std::vector<std::vector<float>> scratch_;  // one for each thread
  std::vector<int64_t> first_piece_;         // of each job or sequence, in the running call
};

}  // namespace fathom

// The fast kernels: packed weights, INT8 activations for integer formats. Cuts the work
// of one call into tiles, hands them to the thread pool, and calls an instruction set's VectorOps
// for each. Knows no instruction set itself.
//
// A row's result is bitwise the same whatever the batch, the number of threads and the way a
// prompt is cut: every tile adds in the order of K, and attention always works in the same
// stretches of the cache, whether one thread goes through them or several.
#pragma once

#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/packed/aligned_buffer.h"
#include "kernels/packed/panels.h"
#include "kernels/packed/vector_ops.h"
#include "kernels/packed/weight_memory.h"

namespace fathom {

class PackedKernels final : public Kernels {
 public:
  PackedKernels(const VectorOps& ops, const ThreadOptions& threads);

  std::string_view name() const override { return ops_.name; }
  ThreadPool& threads() override { return pool_; }
  const MemoryPlacement& placement() const override { return pool_.placement(); }

  PackedMatrix pack(const Tensor& matrix) override;
  uint32_t layout_version() const override { return kPackedLayoutVersion; }
  bool can_be_packed(const PackedMatrix& matrix) const override;
  CacheType default_cache_type() const override { return CacheType::kF16; }
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
  // Rows of one x, quantised once for all jobs that name it.
  struct QuantizedInput {
    const float* x;
    int64_t stride;
    int64_t in;
    int64_t rows;
    unsigned variants;  // bits of ActivationVariant indices in use
    bool fine;          // a second record for each row holds what the first one's rounding lost
    int64_t first_row;  // among all inputs of the call
    int64_t record_bytes;
    int64_t first_record;  // bytes into records_

    int64_t row_bytes() const { return (fine ? 2 : 1) * record_bytes; }
  };
  // How one job is cut: chunks of panels, outermost, times chunks of rows.
  struct Cut {
    const MatmulJob* job;
    PanelLayout layout;
    int input;    // index into inputs_, -1 for float formats
    int variant;  // of its activations
    int64_t panels;
    int64_t panels_each;
    int64_t row_chunks;
    int64_t first_tile;
  };
  // Some tokens and some heads of one KV head's group, over the cache or a stretch of it.
  struct AttentionTask {
    const AttentionShape* shape;
    const CacheView* cache;
    const AttentionSequence* sequence;
    int64_t first_token, tokens;
    int64_t first_head, heads;
    // One stretch, whose result goes to partial_ at this offset in floats; or kAll; or, when
    // tasks for each stretch follow, kMerge.
    int64_t stretch;
    int64_t partial;

    static constexpr int64_t kAll = -1;
    static constexpr int64_t kMerge = -2;
    int64_t kv_head() const { return first_head / (shape->heads / shape->kv_heads); }
    int64_t rows() const { return tokens * heads; }
    int64_t end() const { return sequence->length - sequence->rows + first_token + tokens; }
    int64_t begin() const { return stretch > 0 ? stretch * kStretch : 0; }
    int64_t stretches() const;
    // What is read first from this cache position on.
    AttentionAhead from(int64_t position) const;

    // Long caches are gone through in stretches, whose results are merged in order. Fixed, so that
    // the result does not depend on how many threads share the work.
    static constexpr int64_t kStretch = 512;
    static_assert(kStretch % kAttentionTile == 0);
  };

  PanelLayout layout_of(const PackedMatrix& matrix) const;
  int input_for(const MatmulJob& job, int variant);
  void quantize_inputs();
  void quantize_rows(const QuantizedInput& input, int64_t begin, int64_t end, float* residual);
  void multiply(const Cut& cut, int64_t tile_index, AlignedBuffer& scratch) const;
  void add_rounded_off(const MatmulJob& job, const QuantizedInput& input, const MatmulTile& tile,
                       AlignedBuffer& scratch) const;
  // next: what this thread will probably do after it, or null.
  void attend(const AttentionTask& task, const AttentionTask* next, int thread);

  const VectorOps& ops_;
  ThreadPool pool_;
  WeightMemory weights_;
  std::vector<AlignedBuffer> scratch_;  // one for each thread
  std::vector<QuantizedInput> inputs_;  // of the running call, like all below
  std::vector<Cut> cuts_;
  AlignedBuffer records_;
  std::vector<AttentionTask> tasks_;
  AlignedBuffer partial_;
};

}  // namespace fathom

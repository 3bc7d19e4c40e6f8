// The seam between the engine and the machine. Everything above names these operations; only the
// folders below kernels/ know instruction sets. A Kernels object is a set of implementations chosen
// once at start ("reference" or the best for this CPU) plus the thread pool they run on.
//
// All activations are F32, row-major, with a row stride given in floats. Kernels own nothing, know
// nothing about models, and allocate nothing after their scratch has grown to its largest use.
// One Kernels object is used by one thread at a time (it parallelises inside).
// Results do not depend on the number of threads nor on which other rows are in the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "kernels/attention.h"
#include "kernels/matrix.h"

namespace fathom {

enum class KernelChoice { kAuto, kReference };

class Kernels {
 public:
  static std::unique_ptr<Kernels> make(KernelChoice choice, const ThreadOptions& threads);
  virtual ~Kernels() = default;

  virtual std::string_view name() const = 0;  // "reference", "avx2", "neon-dotprod", ...
  virtual ThreadPool& threads() = 0;
  virtual const MemoryPlacement& placement() const = 0;  // the pool's

  // --- Matrices -------------------------------------------------------------------------------
  // Repacks a stored matrix [out, in] into this instruction set's layout. The source may be
  // unmapped afterwards unless the matrix says it borrows (reference kernels compute in place).
  virtual PackedMatrix pack(const Tensor& matrix) = 0;
  // Packed matrices can be kept in a file and mapped by a later process. The version changes with
  // the meaning of the packed bytes; 0: pack() borrows, there is nothing to keep.
  virtual uint32_t layout_version() const { return 0; }
  // Whether pack() could have made a matrix of this shape, type, layout and number of bytes: what
  // must hold before `data` from a file is used.
  virtual bool can_be_packed(const PackedMatrix& /*matrix*/) const { return false; }
  // The KV cache's elements where nobody chooses: F32 for the reference, F16 otherwise. F16, BF16
  // and INT8 are read by all.
  virtual CacheType default_cache_type() const = 0;

  // y = x W^T for every job, in one parallel region: q, k and v of one input, or all experts of a
  // layer. Jobs that name the same x share its quantised form.
  virtual void matmul(std::span<const MatmulJob> jobs) = 0;

  // Decodes rows of a packed matrix: out[i] = W[row_ids[i]] (the embedding of a token).
  virtual void gather_rows(const PackedMatrix& matrix, std::span<const int32_t> row_ids, float* out,
                           int64_t out_stride) = 0;

  // --- Attention ------------------------------------------------------------------------------
  virtual void attention(const AttentionShape& shape, const CacheView& cache,
                         std::span<const AttentionSequence> sequences) = 0;
  // Writes `rows` new rows [rows, width] of one part (K or V, all heads) of the cache.
  virtual void store_cache(const CacheView& cache, CachePart part, const float* x, int64_t stride,
                           std::span<const CacheSlot> slots) = 0;

  // --- Row-wise operations: x is [rows, cols] with the given stride ------------------------------
  // out = x / sqrt(mean(x^2) + eps) * weight. out may be x.
  virtual void rms_norm(const float* x, int64_t x_stride, const float* weight, float eps,
                        int64_t rows, int64_t cols, float* out, int64_t out_stride) = 0;
  // Rotates `heads` heads of each row in place. cos_sin is [rows, dim] : cos(dim/2) then sin(dim/2)
  // for the row's position; head h starts at row + h * head_stride. Interleaved or halves.
  virtual void rope(float* x, int64_t stride, int64_t rows, int64_t heads, int64_t head_stride,
                    int64_t dim, const float* cos_sin, bool interleaved) = 0;
  // out = silu(gate) * up. out may be gate.
  virtual void swiglu(const float* gate, const float* up, int64_t rows, int64_t cols,
                      int64_t stride, float* out) = 0;
  // x += y over [rows, cols], both with their stride.
  virtual void add(float* x, int64_t x_stride, const float* y, int64_t y_stride, int64_t rows,
                   int64_t cols) = 0;
  // x += bias (one row) for every row.
  virtual void add_bias(float* x, int64_t stride, const float* bias, int64_t rows,
                        int64_t cols) = 0;
  // out[target[i]] += scale[i] * x[i]: the gated sum of expert outputs. Rows with equal targets are
  // added in order of i.
  virtual void scatter_add(const float* x, int64_t x_stride, std::span<const int32_t> target,
                           std::span<const float> scale, int64_t cols, float* out,
                           int64_t out_stride) = 0;
};

}  // namespace fathom

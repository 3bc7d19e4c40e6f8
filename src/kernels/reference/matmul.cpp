#include <algorithm>

#include "base/assert.h"
#include "kernels/reference/dot.h"
#include "kernels/reference/reference_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

// Weight rows a thread decodes before it goes through the batch: few enough to stay in its L2.
constexpr int64_t kPieceRows = 16;

const float* input_row(const MatmulJob& job, int64_t i) {
  return job.x + (job.x_rows != nullptr ? job.x_rows[i] : i) * job.x_stride;
}

template <int kRows>
void multiply_rows(const MatmulJob& job, int64_t row, const float* weights, int64_t begin,
                   int64_t end) {
  const float* x[kRows];
  for (int r = 0; r < kRows; ++r) x[r] = input_row(job, row + r);
  for (int64_t o = begin; o < end; ++o) {
    float y[kRows];
    reference::dot<kRows>(weights + (o - begin) * job.w->in, x, job.w->in, y);
    for (int r = 0; r < kRows; ++r) job.y[(row + r) * job.y_stride + o] = y[r];
  }
}

// Outputs [begin, end) of every row of the job.
void multiply(const MatmulJob& job, int64_t begin, int64_t end, std::vector<float>& scratch) {
  scratch.resize(std::max(scratch.size(), static_cast<size_t>(kPieceRows * job.w->in)));
  dequantize_rows(job.w->source, begin, end - begin, scratch.data());
  int64_t row = 0;
  for (; row + 4 <= job.rows; row += 4) multiply_rows<4>(job, row, scratch.data(), begin, end);
  for (; row < job.rows; ++row) multiply_rows<1>(job, row, scratch.data(), begin, end);
}

}  // namespace

PackedMatrix ReferenceKernels::pack(const Tensor& matrix) {
  FATHOM_ASSERT(matrix.shape.rank() == 2);
  FATHOM_ASSERT(info(matrix.dtype).computable);
  PackedMatrix packed;
  packed.out = matrix.shape[0];
  packed.in = matrix.shape[1];
  packed.dtype = matrix.dtype;
  packed.source = matrix;
  return packed;
}

void ReferenceKernels::matmul(std::span<const MatmulJob> jobs) {
  first_piece_.assign(1, 0);
  for (const MatmulJob& job : jobs) {
    const int64_t pieces = job.rows == 0 ? 0 : (job.w->out + kPieceRows - 1) / kPieceRows;
    first_piece_.push_back(first_piece_.back() + pieces);
  }
  pool_.parallel_for(first_piece_.back(), 1, [&](int thread, int64_t piece, int64_t /*end*/) {
    const auto after = std::upper_bound(first_piece_.begin(), first_piece_.end(), piece);
    const auto index = static_cast<size_t>(after - first_piece_.begin()) - 1;
    const MatmulJob& job = jobs[index];
    const int64_t begin = (piece - first_piece_[index]) * kPieceRows;
    multiply(job, begin, std::min(begin + kPieceRows, job.w->out),
             scratch_[static_cast<size_t>(thread)]);
  });
}

void ReferenceKernels::gather_rows(const PackedMatrix& matrix, std::span<const int32_t> row_ids,
                                   float* out, int64_t out_stride) {
  for (size_t i = 0; i < row_ids.size(); ++i) {
    FATHOM_ASSERT(row_ids[i] >= 0 && row_ids[i] < matrix.out);
    dequantize_rows(matrix.source, row_ids[i], 1, out + static_cast<int64_t>(i) * out_stride);
  }
}

}  // namespace fathom

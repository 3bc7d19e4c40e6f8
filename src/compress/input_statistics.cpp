#include "compress/input_statistics.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace fathom {

namespace {

const float* row_of(const MatmulJob& job, int64_t row) {
  return job.x + (job.x_rows != nullptr ? job.x_rows[row] : row) * job.x_stride;
}

}  // namespace

InputStatistics::InputStatistics(int64_t width, int64_t block, bool whole)
    : width_(width),
      block_(block),
      wants_whole_(whole),
      magnitudes_(static_cast<size_t>(width)),
      blocks_(static_cast<size_t>(width * block)) {
  FATHOM_ASSERT(width % block == 0);
  if (whole) whole_.resize(static_cast<size_t>(width * width));
}

void InputStatistics::add(const MatmulJob& job, Kernels& kernels) {
  rows_ += static_cast<double>(job.rows);
  kernels.threads().parallel_for(width_ / block_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      float* h = blocks_.data() + group * block_ * block_;
      double* sums = magnitudes_.data() + group * block_;
      for (int64_t row = 0; row < job.rows; ++row) {
        const float* x = row_of(job, row) + group * block_;
        for (int64_t i = 0; i < block_; ++i) {
          sums[i] += static_cast<double>(std::fabs(x[i]));
          float* h_row = h + i * block_;
          const float xi = x[i];
          for (int64_t j = 0; j < block_; ++j) h_row[j] += xi * x[j];
        }
      }
    }
  });
  if (wants_whole_) add_whole(job, kernels);
}

// X^T X is a matrix product too, and the kernels are good at those.
void InputStatistics::add_whole(const MatmulJob& job, Kernels& kernels) {
  std::vector<float> columns(static_cast<size_t>(width_ * job.rows));  // [width, rows]
  kernels.threads().parallel_for(width_, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < job.rows; ++row) {
      const float* x = row_of(job, row);
      for (int64_t i = begin; i < end; ++i) columns[static_cast<size_t>(i * job.rows + row)] = x[i];
    }
  });
  Tensor matrix;
  matrix.dtype = DType::kF32;
  matrix.shape = {width_, job.rows};
  matrix.data = reinterpret_cast<const std::byte*>(columns.data());
  matrix.bytes = width_ * job.rows * static_cast<int64_t>(sizeof(float));
  const PackedMatrix packed = kernels.pack(matrix);
  std::vector<float> product(static_cast<size_t>(width_ * width_));
  const MatmulJob square{.w = &packed,
                         .x = columns.data(),
                         .x_stride = job.rows,
                         .rows = width_,
                         .y = product.data(),
                         .y_stride = width_};
  kernels.matmul({&square, 1});
  kernels.threads().parallel_for(width_, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * width_; i < end * width_; ++i) {
      whole_[static_cast<size_t>(i)] += product[static_cast<size_t>(i)];
    }
  });
}

void InputStatistics::add(const InputStatistics& other, double weight) {
  FATHOM_ASSERT(other.width_ == width_ && other.block_ == block_ &&
                other.wants_whole_ == wants_whole_);
  rows_ += weight * other.rows_;
  const auto factor = static_cast<float>(weight);
  for (size_t i = 0; i < magnitudes_.size(); ++i) magnitudes_[i] += weight * other.magnitudes_[i];
  for (size_t i = 0; i < blocks_.size(); ++i) blocks_[i] += factor * other.blocks_[i];
  for (size_t i = 0; i < whole_.size(); ++i) whole_[i] += factor * other.whole_[i];
}

void InputStatistics::add_plain(int64_t rows) {
  double squares = 0;
  double magnitudes = 0;
  for (int64_t i = 0; i < width_; ++i) {
    squares += static_cast<double>(diagonal_block(i / block_)[(i % block_) * (block_ + 1)]);
    magnitudes += magnitudes_[static_cast<size_t>(i)];
  }
  const double tokens = std::max(rows_, 1.0) * static_cast<double>(width_);
  const double size = rows_ > 0 ? squares / tokens : 1.0;
  const double magnitude = rows_ > 0 ? magnitudes / tokens : 1.0;
  const auto added = static_cast<float>(size * static_cast<double>(rows));
  for (int64_t i = 0; i < width_; ++i) {
    blocks_[static_cast<size_t>(i / block_ * block_ * block_ + (i % block_) * (block_ + 1))] +=
        added;
    if (wants_whole_) whole_[static_cast<size_t>(i * (width_ + 1))] += added;
    magnitudes_[static_cast<size_t>(i)] += magnitude * static_cast<double>(rows);
  }
  rows_ += static_cast<double>(rows);
}

std::vector<float> InputStatistics::mean_magnitudes() const {
  std::vector<float> means(magnitudes_.size());
  const double tokens = std::max(rows_, 1.0);
  for (size_t i = 0; i < means.size(); ++i) means[i] = static_cast<float>(magnitudes_[i] / tokens);
  return means;
}

std::vector<float> InputStatistics::diagonal() const {
  std::vector<float> moments(static_cast<size_t>(width_));
  for (int64_t i = 0; i < width_; ++i) {
    moments[static_cast<size_t>(i)] = diagonal_block(i / block_)[(i % block_) * (block_ + 1)];
  }
  return moments;
}

}  // namespace fathom

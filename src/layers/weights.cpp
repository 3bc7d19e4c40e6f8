#include "layers/weights.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "tensor/dequantize.h"
#include "tensor/finite_scales.h"

namespace fathom {

namespace {

using Clock = std::chrono::steady_clock;

// Reading is this far ahead of packing, which takes longer than a disk needs to answer.
constexpr int64_t kReadAhead = int64_t{64} << 20;
// Rows a thread checks before it takes more.
constexpr int64_t kCheckedRows = 64;

}  // namespace

WeightLoader::WeightLoader(const Checkpoint& checkpoint, Kernels& kernels,
                           std::function<void(double)> on_progress, PackedCache* cache)
    : checkpoint_(checkpoint),
      kernels_(kernels),
      on_progress_(std::move(on_progress)),
      cache_(cache) {
  for (const Tensor& tensor : checkpoint.tensors()) total_ += tensor.bytes;
  if (cache_ != nullptr) cache_->open(checkpoint, kernels);
}

void WeightLoader::count(int64_t stored_bytes, int64_t held_bytes) {
  done_ += stored_bytes;
  bytes_ += held_bytes;
  if (on_progress_ && total_ > 0) {
    on_progress_(std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)));
  }
}

Result<const Tensor*> WeightLoader::tensor(const std::string& name) const {
  const Tensor* found = checkpoint_.find(name);
  if (found == nullptr) {
    return fail("{}: the tensor {} is missing. The checkpoint is incomplete or of another family.",
                checkpoint_.path().string(), name);
  }
  return found;
}

void WeightLoader::read_ahead(const Tensor& matrix) {
  const std::byte* end = matrix.data + matrix.bytes;
  const bool started = matrix.data >= ahead_begin_ && end + kReadAhead / 2 <= ahead_end_;
  if (started) return;
  checkpoint_.prefetch(matrix, kReadAhead);
  ahead_begin_ = matrix.data;
  ahead_end_ = end + kReadAhead;
}

// Also what reads the tensor from the disk, so all threads do.
Status WeightLoader::check_finite(const Tensor& matrix) {
  const int64_t rows = matrix.shape[0];
  std::atomic<int64_t> damaged = rows;
  kernels_.threads().parallel_for(rows, kCheckedRows, [&](int64_t begin, int64_t end) {
    if (check_finite_scales(matrix, begin, end - begin)) return;
    for (int64_t seen = damaged; begin < seen && !damaged.compare_exchange_weak(seen, begin);) {
    }
  });
  if (damaged == rows) return {};
  return check_finite_scales(matrix, damaged, std::min(kCheckedRows, rows - damaged));
}

Result<PackedMatrix> WeightLoader::pack(const Tensor& matrix) {
  const std::optional<uint64_t> key = cache_ != nullptr ? cache_->key_of(matrix) : std::nullopt;
  if (key) {
    if (auto cached = cache_->find(*key, matrix.shape[0], matrix.shape[1], matrix.dtype)) {
      count(matrix.bytes, cached->bytes);
      return *std::move(cached);
    }
  }
  read_ahead(matrix);
  FATHOM_CHECK(check_finite(matrix));
  const auto start = Clock::now();
  PackedMatrix packed = kernels_.pack(matrix);
  const bool borrows = packed.bytes == 0;
  if (!borrows) checkpoint_.release(matrix);
  if (key) cache_->keep(*key, packed, Clock::now() - start);
  count(matrix.bytes, borrows ? matrix.bytes : packed.bytes);
  return packed;
}

PackedMatrix WeightLoader::pack_computed(std::string_view name, int64_t rows, int64_t cols,
                                         FunctionRef<std::vector<float>()> compute) {
  const std::optional<uint64_t> key =
      cache_ != nullptr ? cache_->key_of(name, rows, cols) : std::nullopt;
  if (key) {
    if (auto cached = cache_->find(*key, rows, cols, DType::kF32)) {
      count(0, cached->bytes);
      return *std::move(cached);
    }
  }
  const auto start = Clock::now();
  auto owned = std::make_shared<std::vector<float>>(compute());
  FATHOM_ASSERT(static_cast<int64_t>(owned->size()) == rows * cols);
  Tensor tensor;
  tensor.dtype = DType::kF32;
  tensor.shape = {rows, cols};
  tensor.data = reinterpret_cast<const std::byte*>(owned->data());
  tensor.bytes = rows * cols * 4;
  PackedMatrix packed = kernels_.pack(tensor);
  if (packed.bytes == 0) {
    packed.data = std::shared_ptr<const std::byte>(owned, tensor.data);
  } else if (key) {
    cache_->keep(*key, packed, Clock::now() - start);
  }
  count(0, packed.bytes > 0 ? packed.bytes : tensor.bytes);
  return packed;
}

Result<PackedMatrix> WeightLoader::matrix(const std::string& name) {
  FATHOM_TRY(const Tensor* stored, tensor(name));
  return pack(*stored);
}

Result<std::vector<float>> WeightLoader::vector(const std::string& name) {
  FATHOM_TRY(const Tensor* stored, tensor(name));
  std::vector<float> values(static_cast<size_t>(stored->shape.elements()));
  dequantize(stored->dtype, stored->data, stored->shape.elements(), values.data());
  count(stored->bytes, static_cast<int64_t>(values.size()) * 4);
  return values;
}

Result<Linear> WeightLoader::linear(const std::string& prefix) {
  Linear linear;
  linear.site = add_site(prefix);
  FATHOM_TRY(linear.w, matrix(prefix + ".weight"));
  if (has(prefix + ".bias")) {
    FATHOM_TRY(linear.bias, vector(prefix + ".bias"));
  }
  return linear;
}

Tensor slice_rows(const Tensor& matrix, int64_t begin, int64_t count) {
  FATHOM_ASSERT(matrix.dtype != DType::kF8E4M3);
  const int64_t cols = matrix.shape[matrix.shape.rank() - 1];
  Tensor part = matrix;
  part.shape = {count, cols};
  part.data = matrix.data + begin * byte_size(matrix.dtype, cols);
  part.bytes = byte_size(matrix.dtype, count * cols);
  return part;
}

void project(Kernels& kernels, const float* x, int64_t x_stride, int64_t rows,
             std::initializer_list<Projection> projections) {
  std::array<MatmulJob, 4> jobs;
  FATHOM_ASSERT(projections.size() <= jobs.size());
  size_t count = 0;
  for (const Projection& p : projections) {
    jobs[count++] = {.w = &p.linear->w,
                     .x = x,
                     .x_stride = x_stride,
                     .rows = rows,
                     .y = p.y,
                     .y_stride = p.y_stride,
                     .fine_input = p.fine_input};
  }
  kernels.matmul(std::span(jobs.data(), count));
  for (const Projection& p : projections) {
    if (!p.linear->bias.empty()) {
      kernels.add_bias(p.y, p.y_stride, p.linear->bias.data(), rows, p.linear->w.out);
    }
  }
}

}  // namespace fathom

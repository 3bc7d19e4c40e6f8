#include "layers/weights.h"

#include <array>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "tensor/dequantize.h"
#include "tensor/finite_scales.h"

namespace fathom {

WeightLoader::WeightLoader(const Checkpoint& checkpoint, Kernels& kernels,
                           std::function<void(double)> on_progress)
    : checkpoint_(checkpoint), kernels_(kernels), on_progress_(std::move(on_progress)) {
  for (const Tensor& tensor : checkpoint.tensors()) total_ += tensor.bytes;
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

Result<PackedMatrix> WeightLoader::pack(const Tensor& matrix) {
  FATHOM_CHECK(check_finite_scales(matrix));
  PackedMatrix packed = kernels_.pack(matrix);
  count(matrix.bytes, packed.bytes > 0 ? packed.bytes : matrix.bytes);
  return packed;
}

PackedMatrix WeightLoader::pack(std::vector<float> values, int64_t rows, int64_t cols) {
  auto owned = std::make_shared<std::vector<float>>(std::move(values));
  Tensor tensor;
  tensor.dtype = DType::kF32;
  tensor.shape = {rows, cols};
  tensor.data = reinterpret_cast<const std::byte*>(owned->data());
  tensor.bytes = rows * cols * 4;
  PackedMatrix packed = kernels_.pack(tensor);
  count(0, packed.bytes > 0 ? packed.bytes : tensor.bytes);
  if (packed.bytes == 0) packed.data = std::shared_ptr<const std::byte>(owned, tensor.data);
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
             std::initializer_list<Projection> projections, bool fine_input) {
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
                     .fine_input = fine_input};
  }
  kernels.matmul(std::span(jobs.data(), count));
  for (const Projection& p : projections) {
    if (!p.linear->bias.empty()) {
      kernels.add_bias(p.y, p.y_stride, p.linear->bias.data(), rows, p.linear->w.out);
    }
  }
}

}  // namespace fathom

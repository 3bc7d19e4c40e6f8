#include "compress/folds.h"

#include "tensor/dequantize.h"

namespace fathom {

int64_t row_width(const Tensor& tensor) {
  return tensor.shape.rank() < 2 ? 1 : tensor.shape[tensor.shape.rank() - 1];
}

int64_t row_count(const Tensor& tensor) {
  return tensor.shape.elements() / row_width(tensor);
}

void Folds::read(const Tensor& tensor, int64_t row, int64_t rows, float* out) const {
  const int64_t width = row_width(tensor);
  if (width == 1 && tensor.shape.rank() < 2) {
    dequantize(tensor.dtype, tensor.data + byte_size(tensor.dtype, row), rows, out);
  } else {
    dequantize_rows(tensor, row, rows, out);
  }
  const auto found = folds_.find(tensor.name);
  if (found == folds_.end()) return;
  const Fold& fold = found->second;
  for (int64_t r = 0; r < rows; ++r) {
    float* values = out + r * width;
    if (!fold.columns.empty()) {
      for (int64_t c = 0; c < width; ++c) values[c] *= fold.columns[static_cast<size_t>(c)];
    }
    if (!fold.rows.empty()) {
      const float factor = fold.rows[static_cast<size_t>(row + r)];
      for (int64_t c = 0; c < width; ++c) values[c] *= factor;
    }
  }
}

}  // namespace fathom

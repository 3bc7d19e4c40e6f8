// Scales that AWQ moves between matrices without changing what the model computes: a matrix whose
// input is divided by s, element by element, has its columns multiplied by s; what makes that input
// (a norm's weight, the rows of the matrix before) is divided by it. Held beside the checkpoint,
// which stays as it is, and applied where weights are read.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

struct Fold {
  std::vector<float> columns;  // factor of each; empty: 1
  std::vector<float> rows;     // of each row, or of each element of a vector; empty: 1
};

class Folds {
 public:
  Fold& of(const Tensor& tensor) { return folds_[tensor.name]; }
  bool touches(const Tensor& tensor) const { return folds_.contains(tensor.name); }

  // Rows [row, row + rows) of a tensor, decoded and scaled, to out. A vector has one row for each
  // element.
  void read(const Tensor& tensor, int64_t row, int64_t rows, float* out) const;

 private:
  std::unordered_map<std::string, Fold> folds_;
};

// How a tensor is cut into rows: a vector into single elements, what has more dimensions than two
// into the rows of all its matrices.
int64_t row_count(const Tensor& tensor);
int64_t row_width(const Tensor& tensor);

}  // namespace fathom

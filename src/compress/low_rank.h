// The best approximation of a matrix by one of a low rank: truncated singular value decomposition,
// by random projection with two power iterations (Halko, Martinsson and Tropp 2011, algorithms 4.4
// and 5.1). What is left out is within a few parts in a thousand of the least possible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fathom {

struct LowRank {
  std::vector<float> a = {};  // [rank, cols]
  std::vector<float> b = {};  // [rows, rank]: b a is the approximation, and both are of like size
  double kept = 0;            // sum of the squares of its elements,
  double whole = 0;           // and of the matrix's
};

// matrix [rows, cols], row-major. Ranks beyond what the matrix has are zeros. Equal input gives
// equal output. Thread-safe.
LowRank approximate(std::span<const float> matrix, int64_t rows, int64_t cols, int64_t rank);

}  // namespace fathom

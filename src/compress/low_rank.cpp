#include "compress/low_rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "base/assert.h"

namespace fathom {

namespace {

// Directions tried beyond those that are kept, and how often they are turned towards the largest.
constexpr int64_t kMore = 8;
constexpr int kPowerIterations = 2;
constexpr int kMostSweeps = 60;

// Row-major, [rows, cols].
struct Matrix {
  Matrix(int64_t rows_in, int64_t cols_in)
      : rows(rows_in), cols(cols_in), values(static_cast<size_t>(rows_in * cols_in)) {}
  double* row(int64_t r) { return values.data() + r * cols; }
  const double* row(int64_t r) const { return values.data() + r * cols; }

  int64_t rows;
  int64_t cols;
  std::vector<double> values;
};

// D X and D^T X.
Matrix times(std::span<const float> d, const Matrix& x, int64_t rows) {
  Matrix y(rows, x.cols);
  const float* element = d.data();
  for (int64_t r = 0; r < rows; ++r) {
    double* out = y.row(r);
    for (int64_t c = 0; c < x.rows; ++c) {
      const auto factor = static_cast<double>(*element++);
      const double* in = x.row(c);
      for (int64_t k = 0; k < x.cols; ++k) out[k] += factor * in[k];
    }
  }
  return y;
}
Matrix transposed_times(std::span<const float> d, const Matrix& x, int64_t cols) {
  Matrix y(cols, x.cols);
  const float* element = d.data();
  for (int64_t r = 0; r < x.rows; ++r) {
    const double* in = x.row(r);
    for (int64_t c = 0; c < cols; ++c) {
      const auto factor = static_cast<double>(*element++);
      double* out = y.row(c);
      for (int64_t k = 0; k < x.cols; ++k) out[k] += factor * in[k];
    }
  }
  return y;
}

// Makes the columns orthonormal, by Gram and Schmidt done twice; what has no direction of its own
// becomes zero.
void orthonormalize(Matrix& x) {
  for (int64_t k = 0; k < x.cols; ++k) {
    double before = 0;
    for (int64_t r = 0; r < x.rows; ++r) before += x.row(r)[k] * x.row(r)[k];
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < k; ++j) {
        double dot = 0;
        for (int64_t r = 0; r < x.rows; ++r) dot += x.row(r)[j] * x.row(r)[k];
        for (int64_t r = 0; r < x.rows; ++r) x.row(r)[k] -= dot * x.row(r)[j];
      }
    }
    double after = 0;
    for (int64_t r = 0; r < x.rows; ++r) after += x.row(r)[k] * x.row(r)[k];
    const double factor = after > before * 1e-24 && after > 0 ? 1 / std::sqrt(after) : 0;
    for (int64_t r = 0; r < x.rows; ++r) x.row(r)[k] *= factor;
  }
}

// Eigenvectors of a symmetric matrix, as columns, by Jacobi's rotations; its diagonal becomes the
// eigenvalues.
Matrix diagonalize(Matrix& g) {
  const int64_t n = g.rows;
  Matrix vectors(n, n);
  for (int64_t i = 0; i < n; ++i) vectors.row(i)[i] = 1;
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    double outside = 0;
    double diagonal = 0;
    for (int64_t i = 0; i < n; ++i) {
      diagonal += g.row(i)[i] * g.row(i)[i];
      for (int64_t j = i + 1; j < n; ++j) outside += g.row(i)[j] * g.row(i)[j];
    }
    if (outside <= diagonal * 1e-28) break;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i + 1; j < n; ++j) {
        const double off = g.row(i)[j];
        if (off == 0) continue;
        const double theta = (g.row(j)[j] - g.row(i)[i]) / (2 * off);
        const double t = std::copysign(1 / (std::abs(theta) + std::hypot(theta, 1.0)), theta);
        const double c = 1 / std::hypot(t, 1.0);
        const double s = t * c;
        const auto rotate = [&](double& x, double& y) {
          const double old = x;
          x = c * old - s * y;
          y = s * old + c * y;
        };
        for (int64_t k = 0; k < n; ++k) rotate(g.row(k)[i], g.row(k)[j]);
        for (int64_t k = 0; k < n; ++k) rotate(g.row(i)[k], g.row(j)[k]);
        for (int64_t k = 0; k < n; ++k) rotate(vectors.row(k)[i], vectors.row(k)[j]);
      }
    }
  }
  return vectors;
}

double squares(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

}  // namespace

LowRank approximate(std::span<const float> matrix, int64_t rows, int64_t cols, int64_t rank) {
  FATHOM_ASSERT(std::ssize(matrix) == rows * cols && rank > 0);
  LowRank result;
  result.a.resize(static_cast<size_t>(rank * cols));
  result.b.resize(static_cast<size_t>(rows * rank));
  result.whole = squares(matrix);
  if (result.whole == 0) return result;

  const int64_t width = std::min(rank + kMore, std::min(rows, cols));
  Matrix start(cols, width);
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  for (double& value : start.values) value = normal(random);
  Matrix left = times(matrix, start, rows);
  orthonormalize(left);
  for (int i = 0; i < kPowerIterations; ++i) {
    Matrix right = transposed_times(matrix, left, cols);
    orthonormalize(right);
    left = times(matrix, right, rows);
    orthonormalize(left);
  }
  // D is about left right^T, whose singular values are those of `right`.
  const Matrix right = transposed_times(matrix, left, cols);
  Matrix gram(width, width);
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t j = 0; j < width; ++j) gram.row(i)[j] += right.row(c)[i] * right.row(c)[j];
    }
  }
  const Matrix turn = diagonalize(gram);
  std::vector<int64_t> order(static_cast<size_t>(width));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](int64_t i, int64_t j) { return gram.row(i)[i] > gram.row(j)[j]; });
  for (int64_t k = 0; k < std::min(rank, width); ++k) {
    const int64_t from = order[static_cast<size_t>(k)];
    const double square = gram.row(from)[from];
    if (square <= result.whole * 1e-14) break;
    result.kept += square;
    const double root = std::sqrt(std::sqrt(square));  // of the singular value
    for (int64_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += right.row(c)[i] * turn.row(i)[from];
      result.a[static_cast<size_t>(k * cols + c)] = static_cast<float>(sum / root);
    }
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += left.row(r)[i] * turn.row(i)[from];
      result.b[static_cast<size_t>(r * rank + k)] = static_cast<float>(sum * root);
    }
  }
  return result;
}

}  // namespace fathom

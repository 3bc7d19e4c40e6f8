#include "compress/gptq.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

#include "base/assert.h"
#include "compress/group_scale.h"

namespace fathom {

namespace {

constexpr double kDamping = 0.01;
constexpr double kMostDamping = 10.0;
constexpr int64_t kMostGroup = 128;

double dot(const double* a, const double* b, int64_t count) {
  std::array<double, 4> chain{};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (size_t k = 0; k < 4; ++k)
      chain[k] += a[i + static_cast<int64_t>(k)] * b[i + static_cast<int64_t>(k)];
  }
  double sum = (chain[0] + chain[1]) + (chain[2] + chain[3]);
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// a [n, n] becomes L, its lower triangular factor. Column by column, a column's rows on all
// threads.
bool factor(std::vector<double>& a, int64_t n, ThreadPool& threads) {
  for (int64_t j = 0; j < n; ++j) {
    double* row = a.data() + j * n;
    const double pivot = row[j] - dot(row, row, j);
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    row[j] = std::sqrt(pivot);
    threads.parallel_for(n - j - 1, 32, [&](int64_t begin, int64_t end) {
      for (int64_t i = j + 1 + begin; i < j + 1 + end; ++i) {
        double* other = a.data() + i * n;
        other[j] = (other[j] - dot(other, row, j)) / row[j];
      }
    });
  }
  return true;
}

// L^-1, transposed: row i holds column i of the inverse, so that sums run along rows.
std::vector<double> inverse_transposed(const std::vector<double>& l, int64_t n,
                                       ThreadPool& threads) {
  std::vector<double> inverse(static_cast<size_t>(n * n));
  threads.parallel_for(n, 4, [&](int64_t begin, int64_t end) {
    for (int64_t column = begin; column < end; ++column) {
      double* x = inverse.data() + column * n;
      x[column] = 1.0 / l[static_cast<size_t>(column * (n + 1))];
      for (int64_t i = column + 1; i < n; ++i) {
        const double* row = l.data() + i * n;
        x[i] = -dot(row + column, x + column, i - column) / row[i];
      }
    }
  });
  return inverse;
}

}  // namespace

// With the order of rows and columns reversed, H = L L^T gives H^-1 = L^-T L^-1 whose factor
// L^-1, read backwards again, is the upper triangular U that is wanted: one factoring, not two.
Result<GptqRounder> GptqRounder::make(const InputStatistics& statistics,
                                      const std::vector<float>& columns, bool act_order,
                                      ThreadPool& threads) {
  GptqRounder rounder;
  const int64_t n = rounder.width_ = statistics.width();
  std::vector<float> h = statistics.whole();
  if (!columns.empty()) {  // the input is divided by them
    FATHOM_ASSERT(static_cast<int64_t>(columns.size()) == n);
    for (size_t i = 0; i < columns.size(); ++i) {
      for (size_t j = 0; j < columns.size(); ++j) {
        h[i * columns.size() + j] /= columns[i] * columns[j];
      }
    }
  }
  rounder.importance_.resize(static_cast<size_t>(n));
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) {
    rounder.importance_[static_cast<size_t>(i)] = h[static_cast<size_t>(i * (n + 1))];
    mean += static_cast<double>(h[static_cast<size_t>(i * (n + 1))]);
  }
  mean /= static_cast<double>(n);
  if (!std::isfinite(mean) || mean <= 0) {
    return fail("the inputs seen in calibration are all zero or not finite");
  }
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (act_order) {
    std::ranges::sort(order, [&](int32_t a, int32_t b) {
      const auto x = rounder.importance_[static_cast<size_t>(a)];
      const auto y = rounder.importance_[static_cast<size_t>(b)];
      return x != y ? x > y : a < b;
    });
  }

  std::vector<double> a(static_cast<size_t>(n * n));
  double damping = kDamping;
  for (; damping <= kMostDamping; damping *= 10) {
    for (int64_t i = 0; i < n; ++i) {
      const auto row = static_cast<int64_t>(order[static_cast<size_t>(n - 1 - i)]);
      for (int64_t j = 0; j < n; ++j) {
        const auto column = static_cast<int64_t>(order[static_cast<size_t>(n - 1 - j)]);
        a[static_cast<size_t>(i * n + j)] =
            static_cast<double>(h[static_cast<size_t>(row * n + column)]);
      }
      a[static_cast<size_t>(i * (n + 1))] += damping * mean;
    }
    if (factor(a, n, threads)) break;
  }
  if (damping > kMostDamping) return fail("the inputs seen in calibration are not finite");
  const std::vector<double> inverse = inverse_transposed(a, n, threads);
  rounder.inverse_.resize(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i; j < n; ++j) {
      // U[i][j] = L^-1[n-1-i][n-1-j]
      rounder.inverse_[static_cast<size_t>(i * n + j)] =
          static_cast<float>(inverse[static_cast<size_t>((n - 1 - j) * n + (n - 1 - i))]);
    }
  }
  if (act_order) rounder.order_ = std::move(order);
  return rounder;
}

namespace {

// What round_rows() wants of a codec: units whose scales are chosen together, and of them the scale
// of a column within the unit.
class GroupUnit {
 public:
  using Scales = GroupScale;
  explicit GroupUnit(const GroupCodec& codec) : codec_(codec) {}

  int64_t size() const { return codec_.size(); }
  // The scale that loses least over the group's weights, each by how much its input matters.
  Scales choose(std::span<const float> weights, const float* importance) const {
    std::array<float, kMostGroup> snapped;
    return best_scale(codec_, weights, importance, [&](const GroupScale& scale) {
      codec_.snap(scale, weights, snapped.data());
      float error = 0;
      for (size_t i = 0; i < weights.size(); ++i) {
        const float difference = snapped[i] - weights[i];
        error += importance[i] * difference * difference;
      }
      return error;
    });
  }
  GroupScale of(const Scales& scales, int64_t /*column*/) const { return scales; }
  const GroupCodec& codec() const { return codec_; }

 private:
  const GroupCodec& codec_;
};

class SuperBlockUnit {
 public:
  using Scales = SuperBlockCodec::Scales;
  explicit SuperBlockUnit(const SuperBlockCodec& codec) : codec_(codec) {}

  int64_t size() const { return codec_.size(); }
  Scales choose(std::span<const float> weights, const float* importance) const {
    return codec_.choose(weights, importance);
  }
  GroupScale of(const Scales& scales, int64_t column) const {
    return scales.of(static_cast<size_t>(column / codec_.group()));
  }
  const SuperBlockCodec& codec() const { return codec_; }

 private:
  const SuperBlockCodec& codec_;
};

}  // namespace

template <typename Unit>
void GptqRounder::round_rows(const Unit& unit, float* values, int64_t rows, std::byte* out) const {
  const auto& codec = unit.codec();
  const int64_t size = unit.size();
  const auto count = static_cast<size_t>(size);
  const int64_t units = width_ / size;
  std::vector<typename Unit::Scales> scales(static_cast<size_t>(rows * units));
  std::vector<int8_t> codes(static_cast<size_t>(rows * width_));
  const auto choose = [&](int64_t row, int64_t index) {
    scales[static_cast<size_t>(row * units + index)] = unit.choose(
        {values + row * width_ + index * size, count}, importance_.data() + index * size);
  };
  if (!order_.empty()) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t index = 0; index < units; ++index) choose(row, index);
    }
    // From here on columns stand in the order of rounding.
    std::vector<float> sorted(static_cast<size_t>(width_));
    for (int64_t row = 0; row < rows; ++row) {
      float* w = values + row * width_;
      for (size_t i = 0; i < sorted.size(); ++i) sorted[i] = w[order_[i]];
      std::ranges::copy(sorted, w);
    }
  }
  for (int64_t i = 0; i < width_; ++i) {
    const int64_t column = order_.empty() ? i : order_[static_cast<size_t>(i)];
    const float* u = inverse_.data() + i * width_;
    for (int64_t row = 0; row < rows; ++row) {
      float* w = values + row * width_;
      // Within a tile all rows come to a unit together, so its scales follow what is left of it.
      if (order_.empty() && i % size == 0) choose(row, i / size);
      const GroupScale scale =
          unit.of(scales[static_cast<size_t>(row * units + column / size)], column % size);
      const int code = codec.nearest(scale, w[i]);
      codes[static_cast<size_t>(row * width_ + column)] = static_cast<int8_t>(code);
      const float error = (w[i] - scale.value(code)) / u[i];
      for (int64_t j = i + 1; j < width_; ++j) w[j] -= error * u[j];
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t index = 0; index < units; ++index, out += codec.bytes()) {
      codec.write(scales[static_cast<size_t>(row * units + index)],
                  std::span(codes).subspan(static_cast<size_t>(row * width_ + index * size), count),
                  out);
    }
  }
}

void GptqRounder::encode_rows(const GroupCodec& codec, float* values, int64_t rows,
                              std::byte* out) const {
  round_rows(GroupUnit(codec), values, rows, out);
}

void GptqRounder::encode_rows(const SuperBlockCodec& codec, float* values, int64_t rows,
                              std::byte* out) const {
  round_rows(SuperBlockUnit(codec), values, rows, out);
}

}  // namespace fathom

// Row-wise operations of every implementation against the same formula in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/kernels_under_test.h"
#include "kernels/reference/reference_kernels.h"

namespace fathom {
namespace {

using testing::random_floats;

std::vector<std::unique_ptr<Kernels>> all_kernels() {
  std::vector<std::unique_ptr<Kernels>> all;
  all.push_back(std::make_unique<ReferenceKernels>(2));
  for (const VectorOps* ops : testing::instruction_sets()) {
    all.push_back(testing::make_kernels(*ops, 2));
  }
  return all;
}

double at(const std::vector<float>& v, int64_t i) {
  return static_cast<double>(v[static_cast<size_t>(i)]);
}

constexpr int64_t kColumns[] = {1, 3, 8, 15, 16, 17, 31, 33, 64, 100, 576, 1000};

TEST(Elementwise, RmsNormDividesByTheRootMeanSquare) {
  for (auto& kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name());
    for (int64_t cols : kColumns) {
      for (int64_t rows : {1, 2, 70}) {
        const int64_t stride = cols + 3;
        std::vector<float> x = random_floats(rows * stride, 1, 3.0F);
        const std::vector<float> before = x;
        const std::vector<float> weight = random_floats(cols, 2);
        std::vector<float> out(static_cast<size_t>(rows * stride), -9.0F);
        kernels->rms_norm(x.data(), stride, weight.data(), 1e-5F, rows, cols, out.data(), stride);
        for (int64_t r = 0; r < rows; ++r) {
          double squares = 0;
          for (int64_t c = 0; c < cols; ++c) squares += std::pow(at(x, r * stride + c), 2);
          const double root = std::sqrt(squares / static_cast<double>(cols) + 1e-5);
          for (int64_t c = 0; c < cols; ++c) {
            const double expected = at(x, r * stride + c) / root * at(weight, c);
            ASSERT_NEAR(at(out, r * stride + c), expected, 2e-6 * (1 + std::abs(expected)));
          }
          ASSERT_EQ(out[static_cast<size_t>(r * stride + cols)], -9.0F);
        }
        kernels->rms_norm(x.data(), stride, weight.data(), 1e-5F, rows, cols, x.data(), stride);
        for (int64_t c = 0; c < cols; ++c)
          ASSERT_EQ(x[static_cast<size_t>(c)], out[static_cast<size_t>(c)]);
      }
    }
  }
}

TEST(Elementwise, RmsNormOfZeroRowsIsZero) {
  for (auto& kernels : all_kernels()) {
    std::vector<float> x(40, 0.0F);
    const std::vector<float> weight(40, 2.0F);
    kernels->rms_norm(x.data(), 40, weight.data(), 1e-6F, 1, 40, x.data(), 40);
    for (float v : x) EXPECT_EQ(v, 0.0F);
  }
}

TEST(Elementwise, RopeRotatesPairsOfBothKinds) {
  for (auto& kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name());
    for (bool interleaved : {false, true}) {
      for (int64_t dim : {2, 4, 6, 16, 20, 64, 128}) {
        const int64_t rows = 5;
        const int64_t heads = 3;
        const int64_t head_stride = dim + 4;
        const int64_t stride = heads * head_stride + 2;
        std::vector<float> x = random_floats(rows * stride, 3);
        const std::vector<float> before = x;
        std::vector<float> cos_sin;
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t i = 0; i < dim; ++i) {
            const double angle =
                0.3 * static_cast<double>(r + 1) / static_cast<double>(i % (dim / 2) + 1);
            cos_sin.push_back(static_cast<float>(i < dim / 2 ? std::cos(angle) : std::sin(angle)));
          }
        }
        kernels->rope(x.data(), stride, rows, heads, head_stride, dim, cos_sin.data(), interleaved);
        std::vector<double> expected(before.begin(), before.end());
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t h = 0; h < heads; ++h) {
            for (int64_t i = 0; i < dim / 2; ++i) {
              const int64_t base = r * stride + h * head_stride;
              const int64_t first = base + (interleaved ? 2 * i : i);
              const int64_t second = base + (interleaved ? 2 * i + 1 : i + dim / 2);
              const double c = at(cos_sin, r * dim + i);
              const double s = at(cos_sin, r * dim + dim / 2 + i);
              expected[static_cast<size_t>(first)] = at(before, first) * c - at(before, second) * s;
              expected[static_cast<size_t>(second)] =
                  at(before, second) * c + at(before, first) * s;
            }
          }
        }
        for (size_t i = 0; i < x.size(); ++i) {
          ASSERT_NEAR(static_cast<double>(x[i]), expected[i], 1e-6) << "dim " << dim << " at " << i;
        }
      }
    }
  }
}

TEST(Elementwise, SwigluHoldsFromVeryNegativeToVeryLargeGates) {
  for (auto& kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name());
    for (int64_t cols : {1, 7, 16, 100, 5000}) {
      const int64_t rows = 3;
      std::vector<float> gate = random_floats(rows * cols, 5, 8.0F);
      gate[0] = -1000.0F;
      gate.back() = 1000.0F;
      if (cols > 7) gate[5] = -90.0F;
      if (cols > 7) gate[6] = 1e-30F;
      const std::vector<float> up = random_floats(rows * cols, 6);
      std::vector<float> out(gate.size());
      kernels->swiglu(gate.data(), up.data(), rows, cols, cols, out.data());
      for (int64_t i = 0; i < rows * cols; ++i) {
        const double g = at(gate, i);
        const double expected = g / (1 + std::exp(-g)) * at(up, i);
        ASSERT_NEAR(at(out, i), expected, 1e-6 * std::abs(expected) + 1e-30) << "gate " << g;
      }
      kernels->swiglu(gate.data(), up.data(), rows, cols, cols, gate.data());
      EXPECT_EQ(gate, out);
    }
  }
}

TEST(Elementwise, AddAndAddBias) {
  for (auto& kernels : all_kernels()) {
    for (int64_t cols : kColumns) {
      std::vector<float> x = random_floats(4 * (cols + 1), 7);
      const std::vector<float> before = x;
      const std::vector<float> y = random_floats(4 * cols, 8);
      kernels->add(x.data(), cols + 1, y.data(), cols, 4, cols);
      kernels->add_bias(x.data(), cols + 1, y.data(), 4, cols);
      for (int64_t r = 0; r < 4; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          const auto i = static_cast<size_t>(r * (cols + 1) + c);
          ASSERT_EQ(x[i],
                    before[i] + y[static_cast<size_t>(r * cols + c)] + y[static_cast<size_t>(c)]);
        }
        const auto end = static_cast<size_t>(r * (cols + 1) + cols);
        ASSERT_EQ(x[end], before[end]);
      }
    }
  }
}

TEST(Elementwise, ScatterAddSumsRowsWithEqualTargetsInOrder) {
  for (auto& kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name());
    for (int64_t cols : {5, 64, 1000}) {
      const std::vector<int32_t> target = {2, 0, 2, 2, 1};
      const std::vector<float> scale = {0.5F, 2.0F, -1.0F, 1e-3F, 0.0F};
      const std::vector<float> x = random_floats(5 * cols, 9);
      std::vector<float> out = random_floats(3 * cols, 10);
      const std::vector<float> before = out;
      kernels->scatter_add(x.data(), cols, target, scale, cols, out.data(), cols);
      std::vector<double> expected(before.begin(), before.end());
      for (int64_t i = 0; i < 5; ++i) {
        for (int64_t c = 0; c < cols; ++c) {
          expected[static_cast<size_t>(target[static_cast<size_t>(i)] * cols + c)] +=
              at(scale, i) * at(x, i * cols + c);
        }
      }
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(out[i]), expected[i], 1e-6 * (1 + std::abs(expected[i])));
      }
    }
  }
}

}  // namespace
}  // namespace fathom

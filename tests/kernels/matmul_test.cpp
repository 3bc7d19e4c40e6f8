// Packed matrix products against the decoded weights.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/kernels_under_test.h"
#include "kernels/reference/reference_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

using testing::exact_activations;
using testing::OwnedMatrix;
using testing::random_floats;
using testing::random_matrix;

std::vector<float> decoded(const OwnedMatrix& w) {
  std::vector<float> values(static_cast<size_t>(w.tensor.shape.elements()));
  dequantize_rows(w.tensor, 0, w.tensor.shape[0], values.data());
  return values;
}

// y = x w^T in double, and the sum of magnitudes that rounding errors are relative to.
struct Expected {
  std::vector<double> y, magnitude;
};
Expected multiply(const std::vector<float>& x, const std::vector<float>& w, int64_t rows,
                  int64_t out, int64_t in) {
  Expected e;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = 0;
      double magnitude = 0;
      for (int64_t k = 0; k < in; ++k) {
        const double product = static_cast<double>(x[static_cast<size_t>(r * in + k)]) *
                               static_cast<double>(w[static_cast<size_t>(o * in + k)]);
        sum += product;
        magnitude += std::abs(product);
      }
      e.y.push_back(sum);
      e.magnitude.push_back(magnitude);
    }
  }
  return e;
}

void expect_close(const std::vector<float>& y, const Expected& e, double relative) {
  ASSERT_EQ(y.size(), e.y.size());
  for (size_t i = 0; i < y.size(); ++i) {
    // A type with a minimum sums its two halves apart, so allow for a multiple of the magnitude.
    ASSERT_NEAR(static_cast<double>(y[i]), e.y[i], relative * (e.magnitude[i] + 1e-3))
        << "at element " << i;
  }
}

std::vector<float> run(Kernels& kernels, const PackedMatrix& w, const std::vector<float>& x,
                       int64_t rows, bool fine_input = false) {
  std::vector<float> y(static_cast<size_t>(rows * w.out), -7.0F);
  const MatmulJob job{&w, x.data(), w.in, nullptr, rows, y.data(), w.out, fine_input};
  kernels.matmul({&job, 1});
  return y;
}

class PackedMatmul : public ::testing::TestWithParam<const VectorOps*> {};
INSTANTIATE_TEST_SUITE_P(Isa, PackedMatmul, ::testing::ValuesIn(testing::matmul_sets()),
                         [](const auto& i) {
                           std::string name = i.param->name;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

TEST_P(PackedMatmul, GatheredRowsAreExactlyTheDecodedOnes) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    for (int64_t out : {1, 7, 33}) {
      const int64_t in = testing::columns_for(dtype, 288);
      const OwnedMatrix w = random_matrix(dtype, out, in, 5);
      const PackedMatrix packed = kernels->pack(w.tensor);
      std::vector<int32_t> ids(static_cast<size_t>(out));
      std::iota(ids.rbegin(), ids.rend(), 0);
      std::vector<float> rows(static_cast<size_t>(out * in));
      kernels->gather_rows(packed, ids, rows.data(), in);
      const std::vector<float> expected = decoded(w);
      for (int64_t i = 0; i < out; ++i) {
        for (int64_t k = 0; k < in; ++k) {
          ASSERT_EQ(rows[static_cast<size_t>(i * in + k)],
                    expected[static_cast<size_t>((out - 1 - i) * in + k)])
              << "row " << i << " column " << k;
        }
      }
    }
  }
}

TEST_P(PackedMatmul, EqualsTheDecodedProductWhenActivationsAreExact) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    for (int64_t out : {1, 8, 19, 65}) {
      for (int64_t about : {32, 288, 576}) {
        const int64_t in = testing::columns_for(dtype, about);
        const OwnedMatrix w = random_matrix(dtype, out, in, 1);
        const PackedMatrix packed = kernels->pack(w.tensor);
        const std::vector<float> x = exact_activations(70, in, 2);
        const Expected expected = multiply(x, decoded(w), 70, out, in);
        for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 31, 70}) {
          SCOPED_TRACE(::testing::Message() << rows << " x " << in << " x " << out);
          Expected part = expected;
          part.y.resize(static_cast<size_t>(rows * out));
          part.magnitude.resize(static_cast<size_t>(rows * out));
          expect_close(run(*kernels, packed, x, rows), part, 3e-6);
        }
      }
    }
  }
}

TEST_P(PackedMatmul, FloatTypesTakeAnyNumberOfColumns) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    SCOPED_TRACE(name(dtype));
    for (int64_t in : {1, 5, 31, 127, 129, 200, 300}) {
      for (int64_t out : {3, 37}) {  // of few rows panels may be narrow
        const OwnedMatrix w = random_matrix(dtype, out, in, 3);
        const std::vector<float> x = random_floats(7 * in, 4);
        expect_close(run(*kernels, kernels->pack(w.tensor), x, 7),
                     multiply(x, decoded(w), 7, out, in), 3e-6);
      }
    }
  }
}

// The error of INT8 activations: uniform within half a step of each block's largest / 127.
TEST_P(PackedMatmul, ErrorOnOrdinaryActivationsIsThatOfRoundingThem) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : testing::weight_types()) {
    if (!info(dtype).quantized) continue;
    SCOPED_TRACE(name(dtype));
    const OwnedMatrix w = random_matrix(dtype, 64, 1024, 8);
    const std::vector<float> x = random_floats(16 * 1024, 9);
    const std::vector<float> weights = decoded(w);
    const Expected expected = multiply(x, weights, 16, 64, 1024);
    const std::vector<float> y = run(*kernels, kernels->pack(w.tensor), x, 16);
    double error = 0;
    double size = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      error += std::pow(static_cast<double>(y[i]) - expected.y[i], 2);
    }
    // Independent errors of variance step^2 / 12, with step about 2.05 / 127 for 32 normal values.
    double squares = 0;
    for (float v : weights) squares += static_cast<double>(v) * static_cast<double>(v);
    const double step = 2.05 / 127;
    size = squares / 64 * step * step / 12 * static_cast<double>(y.size());
    // A lost bit would make it four times as large; a row's errors reach all outputs, hence the
    // room.
    EXPECT_LT(error, 2.0 * size);
  }
}

// One activation a hundred times as large as the rest of its block: rounding to 8 bits loses most
// of the others, and a fine input keeps them.
TEST_P(PackedMatmul, FineInputsKeepWhatOutliersWouldDrown) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t in = testing::columns_for(dtype, 320);
    const OwnedMatrix w = random_matrix(dtype, 150, in, 15);
    const PackedMatrix packed = kernels->pack(w.tensor);
    std::vector<float> x = random_floats(140 * in, 16);
    for (size_t i = 5; i < x.size(); i += 32) x[i] *= 100.0F;
    const Expected expected = multiply(x, decoded(w), 140, 150, in);
    const std::vector<float> all = run(*kernels, packed, x, 140, true);
    // At most 1 / 254^2 of a block's largest for each of its 32.
    expect_close(all, expected, 32.0 / (254 * 254));
    for (int64_t row : {0, 1, 127, 128, 139}) {
      const std::vector<float> one(x.begin() + row * in, x.begin() + (row + 1) * in);
      const std::vector<float> y = run(*kernels, packed, one, 1, true);
      ASSERT_EQ(std::memcmp(y.data(), all.data() + row * 150, 150 * sizeof(float)), 0)
          << "row " << row << " depends on the batch";
    }
    if (info(dtype).quantized) {
      const std::vector<float> coarse = run(*kernels, packed, x, 140);
      double lost = 0;
      double kept = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        lost += std::abs(static_cast<double>(coarse[i]) - expected.y[i]);
        kept += std::abs(static_cast<double>(all[i]) - expected.y[i]);
      }
      EXPECT_LT(kept, lost / 50);
    }
  }
}

TEST_P(PackedMatmul, ARowsResultDoesNotDependOnTheBatch) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t in = testing::columns_for(dtype, 320);
    for (int64_t out : {4, 50}) {
      const OwnedMatrix w = random_matrix(dtype, out, in, 11);
      const PackedMatrix packed = kernels->pack(w.tensor);
      const std::vector<float> x = random_floats(140 * in, 12);
      const std::vector<float> all = run(*kernels, packed, x, 140);
      for (int64_t row : {0, 1, 3, 5, 63, 127, 128, 139}) {
        const std::vector<float> one(x.begin() + row * in, x.begin() + (row + 1) * in);
        const std::vector<float> y = run(*kernels, packed, one, 1);
        ASSERT_EQ(
            std::memcmp(y.data(), all.data() + row * out, static_cast<size_t>(out) * sizeof(float)),
            0)
            << "row " << row << " of " << out;
      }
    }
  }
}

TEST_P(PackedMatmul, DoesNotDependOnTheNumberOfThreads) {
  for (DType dtype : {DType::kQ4_0, DType::kQ6_K, DType::kBF16}) {
    const OwnedMatrix w = random_matrix(dtype, 200, 512, 13);
    const std::vector<float> x = random_floats(33 * 512, 14);
    std::vector<float> first;
    for (int threads : {1, 2, 5}) {
      auto kernels = testing::make_kernels(*GetParam(), threads);
      const std::vector<float> y = run(*kernels, kernels->pack(w.tensor), x, 33);
      if (first.empty()) first = y;
      EXPECT_EQ(y, first);
    }
  }
}

TEST_P(PackedMatmul, ManyJobsShareGatherAndMixTypesAsIfTheyRanAlone) {
  auto kernels = testing::make_kernels(*GetParam(), 3);
  const std::vector<float> x = random_floats(9 * 512, 20);
  const std::vector<float> other = random_floats(4 * 256, 21);
  std::vector<OwnedMatrix> w;
  std::vector<PackedMatrix> packed;
  uint32_t seed = 30;
  for (DType dtype : testing::weight_types()) {
    w.push_back(random_matrix(dtype, 40, 512, ++seed));
    w.push_back(random_matrix(dtype, 24, 256, ++seed));
  }
  for (const OwnedMatrix& m : w) packed.push_back(kernels->pack(m.tensor));
  const std::vector<int32_t> rows = {8, 0, 3, 3, 5};

  std::vector<std::vector<float>> y(w.size());
  std::vector<MatmulJob> jobs;
  for (size_t i = 0; i < w.size(); ++i) {
    const bool gathers = i % 4 == 0;
    MatmulJob job;
    job.w = &packed[i];
    job.x = i % 2 == 0 ? x.data() : other.data();
    job.x_stride = packed[i].in;
    job.x_rows = gathers ? rows.data() : nullptr;
    job.rows = gathers ? 5 : i % 2 == 0 ? 9 : 4;
    if (i % 7 == 6) job.rows = 0;
    job.y_stride = packed[i].out + 3;
    y[i].assign(static_cast<size_t>(9 * job.y_stride), -1.0F);
    job.y = y[i].data();
    jobs.push_back(job);
  }
  kernels->matmul(jobs);
  for (size_t i = 0; i < w.size(); ++i) {
    for (int64_t r = 0; r < jobs[i].rows; ++r) {
      const int64_t from = jobs[i].x_rows != nullptr ? jobs[i].x_rows[r] : r;
      const std::vector<float> one(jobs[i].x + from * packed[i].in,
                                   jobs[i].x + (from + 1) * packed[i].in);
      const std::vector<float> alone = run(*kernels, packed[i], one, 1);
      const float* row = y[i].data() + r * jobs[i].y_stride;
      ASSERT_EQ(std::memcmp(alone.data(), row, alone.size() * sizeof(float)), 0)
          << name(packed[i].dtype) << " row " << r;
      ASSERT_EQ(row[packed[i].out], -1.0F) << "wrote beyond its outputs";
    }
  }
}

// Many rows, not equally far apart, as an expert's tokens are.
TEST_P(PackedMatmul, ManyGatheredRowsAreTheSameAsInOrder) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  const std::vector<int32_t> rows = [] {
    std::vector<int32_t> chosen;
    chosen.reserve(75);
    for (int32_t i = 0; i < 75; ++i) chosen.push_back(i * i % 60);
    return chosen;
  }();
  for (DType dtype : {DType::kQ4_0, DType::kQ4_K, DType::kI8_128}) {
    SCOPED_TRACE(name(dtype));
    const OwnedMatrix w = random_matrix(dtype, 50, 768, 45);
    const PackedMatrix packed = kernels->pack(w.tensor);
    const std::vector<float> x = random_floats(60 * 768, 46);
    const std::vector<float> all = run(*kernels, packed, x, 60);
    std::vector<float> y(75 * 50, -7.0F);
    const MatmulJob job{&packed, x.data(), 768, rows.data(), 75, y.data(), 50};
    kernels->matmul({&job, 1});
    for (size_t r = 0; r < 75; ++r) {
      const float* expected = all.data() + rows[r] * 50;
      ASSERT_EQ(std::memcmp(&y[r * 50], expected, 50 * sizeof(float)), 0) << "row " << r;
    }
  }
}

TEST_P(PackedMatmul, ZeroAndEqualRowsAndExtremeValues) {
  auto kernels = testing::make_kernels(*GetParam(), 2);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t in = testing::columns_for(dtype, 256);
    const OwnedMatrix w = random_matrix(dtype, 24, in, 40);
    const PackedMatrix packed = kernels->pack(w.tensor);
    const std::vector<float> weights = decoded(w);
    std::vector<float> x(static_cast<size_t>(6 * in), 0.0F);
    for (int64_t k = 0; k < in; ++k) {
      const auto at = [&](int64_t row) -> float& { return x[static_cast<size_t>(row * in + k)]; };
      at(1) = 3.5F;                                      // all equal
      at(2) = -127.0F;                                   // the largest code everywhere
      at(3) = k % 2 == 0 ? 1e30F : -1e30F;               // huge
      at(4) = std::numeric_limits<float>::denorm_min();  // lost, but not NaN
      at(5) = k == 17 ? 1e4F : 1e-6F;                    // one outlier
    }
    const std::vector<float> y = run(*kernels, packed, x, 6);
    const Expected e = multiply(x, weights, 6, 24, in);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_TRUE(std::isfinite(y[i]));
      const size_t row = i / 24;
      // The outlier's block loses its small values, each up to half a step.
      const double lost = row == 5 && info(dtype).quantized ? 1e-6 * 32 * 4 : 1e-30;
      ASSERT_NEAR(static_cast<double>(y[i]), e.y[i], 4e-6 * e.magnitude[i] + lost) << "row " << row;
    }
  }
}

// The worst that saturating 16-bit sums can meet: every code and every activation at its limit.
TEST_P(PackedMatmul, LargestCodesTimesLargestActivationsDoNotSaturate) {
  auto kernels = testing::make_kernels(*GetParam(), 1);
  for (DType dtype : testing::weight_types()) {
    if (!info(dtype).quantized) continue;
    SCOPED_TRACE(name(dtype));
    for (std::byte fill : {std::byte{0xff}, std::byte{0x00}, std::byte{0x80}, std::byte{0x7f}}) {
      OwnedMatrix w = random_matrix(dtype, 16, 256, 50);
      const OwnedMatrix scales = w;
      for (std::byte& b : w.bytes) b = fill;
      // Scales of the first block's kind: put the halves back.
      const int block = info(dtype).block_bytes;
      for (size_t at = 0; at < w.bytes.size(); at += static_cast<size_t>(block)) {
        const auto restore = [&](size_t offset) {
          std::memcpy(&w.bytes[at + offset], &scales.bytes[at + offset], 2);
        };
        switch (dtype) {
          case DType::kQ2_K:
            restore(80);
            restore(82);
            break;
          case DType::kI8Row:
            break;
          case DType::kI4Z_32:
          case DType::kI4Z_64:
          case DType::kI4Z_128:
            restore(0);
            w.bytes[at + 2] = fill & std::byte{0x0f};
            break;
          case DType::kQ3_K:
            restore(108);
            break;
          case DType::kQ6_K:
            restore(208);
            break;
          case DType::kQ4_1:
          case DType::kQ5_1:
          case DType::kQ4_K:
          case DType::kQ5_K:
            restore(0);
            restore(2);
            break;
          default:
            restore(0);
        }
      }
      w.tensor.data = w.bytes.data();
      std::vector<float> x(static_cast<size_t>(5 * 256), 127.0F);
      for (size_t i = 256; i < 512; ++i) x[i] = -127.0F;
      const std::vector<float> y = run(*kernels, kernels->pack(w.tensor), x, 5);
      expect_close(y, multiply(x, decoded(w), 5, 16, 256), 4e-6);
    }
  }
}

TEST_P(PackedMatmul, NotANumberStaysVisible) {
  auto kernels = testing::make_kernels(*GetParam(), 1);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t in = testing::columns_for(dtype, 256);
    const OwnedMatrix w = random_matrix(dtype, 8, in, 60);
    std::vector<float> x = random_floats(2 * in, 61);
    x[static_cast<size_t>(in + 40)] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> y = run(*kernels, kernels->pack(w.tensor), x, 2);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_TRUE(std::isfinite(y[i]));
      EXPECT_TRUE(std::isnan(y[8 + i]));
    }
  }
}

TEST_P(PackedMatmul, Fp8CodesThatAreNotANumberStaySo) {
  auto kernels = testing::make_kernels(*GetParam(), 1);
  OwnedMatrix w = random_matrix(DType::kF8E4M3, 3, 40, 70);
  w.bytes[45] = std::byte{0xff};
  w.tensor.data = w.bytes.data();
  const std::vector<float> y = run(*kernels, kernels->pack(w.tensor), random_floats(40, 71), 1);
  EXPECT_TRUE(std::isfinite(y[0]));
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_TRUE(std::isfinite(y[2]));
}

TEST_P(PackedMatmul, PackedBytesAreCloseToTheStoredOnes) {
  auto kernels = testing::make_kernels(*GetParam(), 1);
  for (DType dtype : testing::weight_types()) {
    const OwnedMatrix w = random_matrix(dtype, 64, 2048, 80);
    const PackedMatrix packed = kernels->pack(w.tensor);
    EXPECT_LE(static_cast<double>(packed.bytes), 1.04 * static_cast<double>(w.tensor.bytes))
        << name(dtype);
  }
}

TEST(ReferenceMatmul, EqualsTheDecodedProduct) {
  ReferenceKernels kernels(2);
  for (DType dtype : testing::weight_types()) {
    SCOPED_TRACE(name(dtype));
    const int64_t in = testing::columns_for(dtype, 300);
    const OwnedMatrix w = random_matrix(dtype, 35, in, 90);
    const std::vector<float> x = random_floats(7 * in, 91);
    expect_close(run(kernels, kernels.pack(w.tensor), x, 7), multiply(x, decoded(w), 7, 35, in),
                 2e-6);
  }
}

}  // namespace
}  // namespace fathom

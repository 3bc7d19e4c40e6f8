// Which implementations exist, which is chosen, and which of them these tests could not execute.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include "kernels/cpu_features.h"
#include "kernels/kernels_under_test.h"
#include "kernels/machine_limits.h"

namespace fathom {
namespace {

TEST(Kernels, AutoTakesTheWidestInstructionSetOfThisCpu) {
  const auto kernels = Kernels::make(KernelChoice::kAuto, 1);
  if (cpu_has_avx512_vnni()) {
    EXPECT_EQ(kernels->name(), "avx512-vnni");
  } else if (cpu_has_avx2()) {
    EXPECT_EQ(kernels->name(), "avx2");
  } else {
    EXPECT_EQ(kernels->name(), "reference");
  }
}

TEST(Kernels, ReferenceIsAlwaysThere) {
  const auto kernels = Kernels::make(KernelChoice::kReference, 3);
  EXPECT_EQ(kernels->name(), "reference");
  EXPECT_EQ(kernels->cache_dtype(), DType::kF32);
  EXPECT_EQ(kernels->threads().size(), 3);
}

TEST(Kernels, Avx2IsTested) {
  if (!cpu_has_avx2()) GTEST_SKIP() << "this CPU lacks AVX2, FMA or F16C";
  EXPECT_EQ(testing::instruction_sets()[0], avx2_ops());
}

TEST(Kernels, Avx512IsTestedOnThisCpu) {
  if (!cpu_has_avx512_vnni()) GTEST_SKIP() << "this CPU lacks AVX-512 with VNNI: emulated only";
  EXPECT_NE(avx512_ops(), nullptr);
}

TEST(Kernels, Avx512IsTestedEmulated) {
  if (testing::emulated_avx512_ops() == nullptr)
    GTEST_SKIP() << "built without libsimde-dev, or by clang";
  EXPECT_EQ(testing::instruction_sets().back(), testing::emulated_avx512_ops());
}

TEST(Kernels, LimitsOfTheMachineAreMeasured) {
  ThreadPool pool(2);
  const MachineLimits limits = measure_machine_limits(pool);
  EXPECT_GT(limits.read_bytes_per_second, 1e8);
  if (best_ops() != nullptr) {
    EXPECT_GT(limits.int8_ops_per_second, 1e9);
    EXPECT_GT(limits.float_ops_per_second, 1e9);
  }
}

}  // namespace
}  // namespace fathom

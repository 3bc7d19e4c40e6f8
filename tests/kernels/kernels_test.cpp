// Which implementations exist, which is chosen, and which of them these tests could not execute.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

#include "kernels/cpu_features.h"
#include "kernels/kernels_under_test.h"
#include "kernels/machine_limits.h"

namespace fathom {
namespace {

std::string_view best_of_this_cpu() {
  if (cpu_has_amx() && amx_ops() != nullptr) return "avx512-amx";
  if (cpu_has_avx512_bf16() && avx512_bf16_ops() != nullptr) return "avx512-bf16";
  if (cpu_has_avx512_vnni()) return "avx512-vnni";
  if (cpu_has_avx2()) return "avx2";
  if (cpu_has_neon_i8mm()) return "neon-i8mm";
  if (cpu_has_neon_dotprod()) return "neon-dotprod";
  if (cpu_has_neon()) return "neon";
  return "reference";
}

TEST(Kernels, AutoTakesTheWidestInstructionSetOfThisCpu) {
  EXPECT_EQ(Kernels::make(KernelChoice::kAuto, 1)->name(), best_of_this_cpu());
}

TEST(Kernels, ReferenceIsAlwaysThere) {
  const auto kernels = Kernels::make(KernelChoice::kReference, 3);
  EXPECT_EQ(kernels->name(), "reference");
  EXPECT_EQ(kernels->default_cache_type(), CacheType::kF32);
  EXPECT_EQ(kernels->threads().size(), 3);
}

#if defined(__aarch64__)
bool is_tested(const VectorOps* ops) {
  const auto sets = testing::instruction_sets();
  return std::find(sets.begin(), sets.end(), ops) != sets.end();
}

TEST(Kernels, NeonIsTested) {
  EXPECT_TRUE(is_tested(neon_ops()));
}

TEST(Kernels, NeonWithDotProductIsTested) {
  if (!cpu_has_neon_dotprod()) GTEST_SKIP() << "this CPU lacks FEAT_DotProd";
  EXPECT_TRUE(is_tested(neon_dotprod_ops()));
}

TEST(Kernels, NeonWithMatrixProductsIsTested) {
  if (!cpu_has_neon_i8mm()) GTEST_SKIP() << "this CPU lacks FEAT_I8MM";
  EXPECT_TRUE(is_tested(neon_i8mm_ops()));
}
#else
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

TEST(Kernels, Avx512WithBf16IsTestedOnThisCpu) {
  if (avx512_bf16_ops() == nullptr) GTEST_SKIP() << "built by a compiler without AVX512_BF16";
  if (!cpu_has_avx512_bf16()) GTEST_SKIP() << "this CPU lacks AVX512_BF16";
  EXPECT_EQ(testing::attention_sets().back(), avx512_bf16_ops());
}

TEST(Kernels, AmxIsTestedOnThisCpu) {
  if (amx_ops() == nullptr) GTEST_SKIP() << "built by a compiler without AMX";
  if (!cpu_has_amx()) GTEST_SKIP() << "this CPU or system lacks AMX: emulated only";
  const auto sets = testing::matmul_sets();
  EXPECT_NE(std::find(sets.begin(), sets.end(), amx_ops()), sets.end());
}

TEST(Kernels, AmxIsTestedEmulated) {
  if (testing::emulated_amx_ops() == nullptr)
    GTEST_SKIP() << "built without libsimde-dev, or by clang";
  EXPECT_EQ(testing::matmul_sets().back(), testing::emulated_amx_ops());
}
#endif

TEST(Kernels, LimitsOfTheMachineAreMeasured) {
  ThreadPool pool(2);
  const MachineLimits limits = measure_machine_limits(pool);
  // Far below any processor, within reach of an emulated one.
  EXPECT_GT(limits.read_bytes_per_second, 1e6);
  if (best_ops() != nullptr) {
    EXPECT_GT(limits.int8_ops_per_second, 1e6);
    EXPECT_GT(limits.float_ops_per_second, 1e6);
  }
}

}  // namespace
}  // namespace fathom

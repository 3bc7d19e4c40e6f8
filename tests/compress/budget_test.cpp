// How a budget of bytes is spent on the types of tensors.
#include "compress/budget.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

const std::vector<TypeChoice> kSensitive = {
    {DType::kQ4_0, 18, 0.9}, {DType::kQ5_0, 22, 0.3}, {DType::kQ8_0, 34, 0.01}};
const std::vector<TypeChoice> kRobust = {
    {DType::kQ4_0, 18, 0.1}, {DType::kQ5_0, 22, 0.03}, {DType::kQ8_0, 34, 0.001}};

TEST(SpendBytes, SpendsNothingWhereThereIsNothingToSpend) {
  EXPECT_EQ(spend_bytes({kSensitive, kRobust}, 36), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(spend_bytes({kSensitive, kRobust}, 39), (std::vector<size_t>{0, 0}));
}

TEST(SpendBytes, SpendsFirstWhereAByteWinsMost) {
  EXPECT_EQ(spend_bytes({kSensitive, kRobust}, 40), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(spend_bytes({kRobust, kSensitive}, 40), (std::vector<size_t>{0, 1}));
}

TEST(SpendBytes, TakesTheLargestTypesWhereThereIsRoom) {
  EXPECT_EQ(spend_bytes({kSensitive, kRobust}, 68), (std::vector<size_t>{2, 2}));
}

TEST(SpendBytes, LeavesATypeThatWinsNothing) {
  const std::vector<TypeChoice> exact = {{DType::kQ4_0, 18, 0}, {DType::kQ8_0, 34, 0}};
  EXPECT_EQ(spend_bytes({exact}, 100), (std::vector<size_t>{0}));
}

}  // namespace
}  // namespace fathom

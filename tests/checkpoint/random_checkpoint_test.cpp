#include "checkpoint/random_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "tensor/dequantize.h"

namespace fathom {
namespace {

int64_t parameters(const Checkpoint& checkpoint) {
  int64_t sum = 0;
  for (const Tensor& tensor : checkpoint.tensors()) sum += tensor.shape.elements();
  return sum;
}

// What the published checkpoints hold, as their hubs count it.
TEST(RandomCheckpoint, HasAsManyParametersAsTheRealModel) {
  const std::pair<const char*, int64_t> known[] = {{"distill-1.5b", 1'777'088'000},
                                                   {"lite-6.7b", 6'740'512'768},
                                                   {"v2-lite-16b", 15'706'484'224}};
  for (const auto& [name, count] : known) {
    const auto checkpoint = make_random_checkpoint(name);
    ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
    EXPECT_EQ(parameters(**checkpoint), count) << name;
  }
}

TEST(RandomCheckpoint, MatricesShareOneBuffer) {
  const auto checkpoint = make_random_checkpoint("v2-lite-16b");
  ASSERT_TRUE(checkpoint.has_value());
  const std::byte* lowest = nullptr;
  const std::byte* highest = nullptr;
  for (const Tensor& tensor : (*checkpoint)->tensors()) {
    if (tensor.dtype != DType::kQ4_0) continue;
    if (lowest == nullptr || tensor.data < lowest) lowest = tensor.data;
    highest = std::max(highest, tensor.data + tensor.bytes);
  }
  EXPECT_LE(highest - lowest, int64_t{128} << 20);
}

TEST(RandomCheckpoint, WeightsAreSmallAndDiffer) {
  const auto checkpoint = make_random_checkpoint("distill-1.5b");
  ASSERT_TRUE(checkpoint.has_value());
  const Tensor* matrix = (*checkpoint)->find("model.layers.3.mlp.up_proj.weight");
  ASSERT_NE(matrix, nullptr);
  std::vector<float> values(static_cast<size_t>(matrix->shape.elements()));
  dequantize(matrix->dtype, matrix->data, matrix->shape.elements(), values.data());
  for (const float value : values) ASSERT_LE(std::abs(value), 0.05F);
  EXPECT_GT(std::set<float>(values.begin(), values.begin() + 1000).size(), 100);
}

TEST(RandomCheckpoint, WeightsShareScalesInTheWantedGroupsWhereRowsAreWholeOnes) {
  const auto checkpoint = make_random_checkpoint("v2-lite-16b", 128);
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  const auto type_of = [&](const char* name) { return (*checkpoint)->find(name)->dtype; };
  EXPECT_EQ(type_of("model.layers.3.self_attn.q_proj.weight"), DType::kI4_128);  // of 2048
  EXPECT_EQ(type_of("model.layers.0.mlp.down_proj.weight"), DType::kQ4_0);       // of 10944
  const Tensor* matrix = (*checkpoint)->find("model.layers.3.self_attn.q_proj.weight");
  std::vector<float> values(static_cast<size_t>(matrix->shape.elements()));
  dequantize(matrix->dtype, matrix->data, matrix->shape.elements(), values.data());
  for (const float value : values) ASSERT_LE(std::abs(value), 0.05F);
  // 15 multiples of one scale.
  EXPECT_LE(std::set<float>(values.begin(), values.begin() + 128).size(), 15);
  EXPECT_GT(std::set<float>(values.begin(), values.begin() + 256).size(), 15);
  ASSERT_TRUE(make_random_checkpoint("distill-1.5b", 64).has_value());
}

TEST(RandomCheckpoint, OtherGroupsAreRefused) {
  const auto checkpoint = make_random_checkpoint("distill-1.5b", 96);
  ASSERT_FALSE(checkpoint.has_value());
  EXPECT_EQ(checkpoint.error().kind, ErrorKind::kUsage);
}

// Otherwise every layer turns activations the same way, and all tokens choose the same experts.
TEST(RandomCheckpoint, LayersDifferAndWeightsAreZeroOnAverage) {
  const auto checkpoint = make_random_checkpoint("v2-lite-16b");
  ASSERT_TRUE(checkpoint.has_value());
  const auto values_of = [&](const std::string& name) {
    const Tensor* tensor = (*checkpoint)->find(name);
    EXPECT_NE(tensor, nullptr) << name;
    std::vector<float> values(static_cast<size_t>(tensor->shape.elements()));
    dequantize(tensor->dtype, tensor->data, tensor->shape.elements(), values.data());
    return values;
  };
  for (const std::string part : {"mlp.gate.weight", "self_attn.kv_a_proj_with_mqa.weight"}) {
    const auto one = values_of("model.layers.3." + part);
    const auto other = values_of("model.layers.4." + part);
    double sum = 0;
    double squares = 0;
    double product = 0;
    for (size_t i = 0; i < one.size(); ++i) {
      sum += one[i];
      squares += one[i] * one[i];
      product += one[i] * other[i];
    }
    const auto count = static_cast<double>(one.size());
    EXPECT_LT(std::abs(product), 0.05 * squares) << part;
    EXPECT_LT(std::abs(sum) / count, 0.01 * std::sqrt(squares / count)) << part;
  }
}

TEST(RandomCheckpoint, AnUnknownShapeNamesTheNearest) {
  const auto checkpoint = make_random_checkpoint("lite-7b");
  ASSERT_FALSE(checkpoint.has_value());
  EXPECT_EQ(checkpoint.error().kind, ErrorKind::kUsage);
  EXPECT_NE(checkpoint.error().message.find("nearest is lite-6.7b"), std::string::npos)
      << checkpoint.error().message;
}

}  // namespace
}  // namespace fathom

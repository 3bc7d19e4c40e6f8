// Checkpoints in the layouts of compressed-tensors, AutoAWQ and AutoGPTQ (tests/golden/packed) are
// read to the values that numpy gives them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_file.h"
#include "hub/test_files.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name;
  DType stored;
  float tolerance;  // of a step of the grid: what F16 loses
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

fs::path packed(const std::string& name) {
  return fs::path(FATHOM_TEST_DATA) / "golden" / "packed" / name;
}

class HfPacked : public testing::TestWithParam<Case> {};

TEST_P(HfPacked, HasTheValuesThatTheLayoutGives) {
  const auto checkpoint = Checkpoint::open(packed(GetParam().name));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto file = MappedFile::open(packed(GetParam().name) / "expected.safetensors");
  ASSERT_TRUE(file);
  const auto expected = parse_safetensors(file->bytes(), "expected");
  ASSERT_TRUE(expected);
  ASSERT_EQ(expected->size(), 3U);
  for (const Tensor& want : *expected) {
    const Tensor* got = (*checkpoint)->find(want.name);
    ASSERT_NE(got, nullptr) << want.name;
    EXPECT_EQ(got->dtype, GetParam().stored) << name(got->dtype);
    ASSERT_EQ(got->shape, want.shape);
    const auto count = static_cast<size_t>(want.shape.elements());
    std::vector<float> values(count);
    dequantize(got->dtype, got->data, want.shape.elements(), values.data());
    for (size_t i = 0; i < count; ++i) {
      float exact = 0;
      std::memcpy(&exact, want.data + i * sizeof exact, sizeof exact);
      ASSERT_NEAR(values[i], exact, GetParam().tolerance * std::fabs(exact))
          << want.name << " element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, HfPacked,
                         testing::Values(Case{"compressed_int4", DType::kQ4_0, 1e-6F},
                                         Case{"compressed_int4_zeros", DType::kI4Z_64, 1e-6F},
                                         Case{"compressed_int8", DType::kQ8_0, 1e-6F},
                                         Case{"awq", DType::kI4Z_64, 1e-6F},
                                         Case{"gptq", DType::kQ4_0, 1e-6F},
                                         Case{"gptq_act_order", DType::kF16, 1e-3F},
                                         Case{"gptq_v2_zeros", DType::kI4Z_64, 1e-6F},
                                         Case{"gptq_int8", DType::kQ8_0, 1e-6F}),
                         [](const auto& test) { return test.param.name; });

// The same weights under another description.
class HfPackedErrors : public testing::Test {
 protected:
  void expect_refused(const std::string& name, const nlohmann::json& changes,
                      std::initializer_list<std::string> parts) {
    const fs::path directory = folder_.path() / name;
    fs::remove_all(directory);
    fs::copy(packed(name), directory);
    nlohmann::json config = nlohmann::json::parse(std::ifstream(directory / "config.json"));
    config["quantization_config"].merge_patch(changes);
    std::ofstream(directory / "config.json") << config;
    const auto checkpoint = Checkpoint::open(directory);
    ASSERT_FALSE(checkpoint);
    for (const std::string& part : parts) {
      EXPECT_NE(checkpoint.error().message.find(part), std::string::npos)
          << checkpoint.error().message;
    }
  }
  hub::TemporaryDirectory folder_;
};

TEST_F(HfPackedErrors, NameWhatDoesNotFit) {
  expect_refused("gptq", {{"bits", 3}}, {"3 bits"});
  expect_refused("gptq", {{"group_size", 64}}, {"scales", "expected"});
  expect_refused("gptq", {{"group_size", 48}}, {"groups of 48"});
  expect_refused("gptq", {{"checkpoint_format", "marlin"}}, {"marlin"});
  expect_refused("awq", {{"version", "gemv"}}, {"gemv", "gemm"});
  expect_refused("awq", {{"bits", 8}}, {"8 bits"});
  expect_refused("compressed_int4", {{"format", "int-quantized"}}, {"int-quantized"});
  expect_refused("compressed_int4",
                 {{"config_groups", {{"group_0", {{"weights", {{"num_bits", 8}}}}}}}},
                 {"weight_packed", "expected"});
  expect_refused("compressed_int4", {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}},
                 {"q_proj.weight", "missing"});
}

}  // namespace
}  // namespace fathom

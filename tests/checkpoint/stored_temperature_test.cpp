#include "checkpoint/stored_temperature.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "temporary_directory.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

class StoredTemperatureTest : public ::testing::Test {
 protected:
  static std::unique_ptr<Checkpoint> open(const fs::path& path) {
    auto checkpoint = Checkpoint::open(path);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    return *std::move(checkpoint);
  }
  static std::string bytes(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void expect_same_weights(const Checkpoint& a, const Checkpoint& b) {
    ASSERT_EQ(a.tensors().size(), b.tensors().size());
    for (size_t i = 0; i < a.tensors().size(); ++i) {
      const Tensor& x = a.tensors()[i];
      const Tensor& y = b.tensors()[i];
      ASSERT_EQ(x.name, y.name);
      const auto size = static_cast<size_t>(byte_size(x.dtype, x.shape.elements()));
      EXPECT_EQ(std::memcmp(x.data, y.data, size), 0) << x.name;
    }
  }

  const test::TemporaryDirectory made_;
  const fs::path folder_ = made_.path();
  const fs::path gguf_ = FATHOM_TEST_DATA "/golden/quantized/Q4_K.gguf";
  const fs::path directory_ = FATHOM_TEST_DATA "/golden/models/llama_mha";
};

TEST_F(StoredTemperatureTest, IsAKeyOfAGgufFileThatLeavesTheRestAsItIs) {
  const auto original = open(gguf_);
  EXPECT_FALSE(*stored_temperature(*original));
  const std::string before = bytes(gguf_);
  ASSERT_TRUE(store_temperature(*original, {1.125}, folder_ / "a.gguf"));
  EXPECT_EQ(bytes(gguf_), before);
  const auto calibrated = open(folder_ / "a.gguf");
  EXPECT_EQ((*stored_temperature(*calibrated))->value, 1.125);
  expect_same_weights(*original, *calibrated);

  // Again, over the first and in place.
  ASSERT_TRUE(store_temperature(*calibrated, {0.75}));
  const auto again = open(folder_ / "a.gguf");
  EXPECT_EQ((*stored_temperature(*again))->value, 0.75);
  expect_same_weights(*original, *again);
  expect_same_weights(*original, *calibrated);  // still mapped
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(StoredTemperatureTest, IsAFileBesideAHuggingFaceConfig) {
  const auto original = open(directory_);
  EXPECT_FALSE(*stored_temperature(*original));
  const fs::path copy = folder_ / "copy";
  ASSERT_TRUE(store_temperature(*original, {1.25}, copy));
  EXPECT_FALSE(fs::exists(directory_ / "fathom.json"));
  const auto calibrated = open(copy);
  EXPECT_EQ((*stored_temperature(*calibrated))->value, 1.25);
  expect_same_weights(*original, *calibrated);
  ASSERT_TRUE(store_temperature(*calibrated, {1.5}));
  EXPECT_EQ((*stored_temperature(*calibrated))->value, 1.5);
  EXPECT_FALSE(store_temperature(*original, {1.25}, copy));  // it is there
}

TEST(TemperatureBias, IsOfTheOctaveThatAPositionIsIn) {
  const StoredTemperature plain{2};
  EXPECT_EQ(plain.at(0), 2);
  EXPECT_EQ(plain.at(100'000), 2);
  const StoredTemperature biased{2, {0, std::log(1.5F), std::log(0.5F)}};
  EXPECT_NEAR(biased.at(0), 2, 1e-6);
  EXPECT_NEAR(biased.at(1), 3, 1e-6);
  EXPECT_NEAR(biased.at(2), 3, 1e-6);
  EXPECT_NEAR(biased.at(3), 1, 1e-6);
  EXPECT_NEAR(biased.at(100'000), 1, 1e-6);  // the last holds for all behind it
}

TEST_F(StoredTemperatureTest, KeepsABiasBesideItAndTakesItAwayAgain) {
  const std::vector<float> bias = {0.25F, 0, -0.125F};
  const fs::path file = folder_ / "a.gguf";
  ASSERT_TRUE(store_temperature(*open(gguf_), {1.5, bias}, file));
  const auto calibrated = open(file);
  EXPECT_EQ((*stored_temperature(*calibrated))->value, 1.5);
  EXPECT_EQ((*stored_temperature(*calibrated))->bias, bias);
  expect_same_weights(*open(gguf_), *calibrated);
  const auto size = fs::file_size(file);
  ASSERT_TRUE(store_temperature(*calibrated, {1.25, bias}));
  EXPECT_EQ(fs::file_size(file), size);  // in place of the first
  ASSERT_TRUE(store_temperature(*open(file), {0.75}));
  EXPECT_EQ((*stored_temperature(*open(file)))->bias, std::vector<float>());

  const fs::path copy = folder_ / "copy";
  ASSERT_TRUE(store_temperature(*open(directory_), {1.5, bias}, copy));
  EXPECT_EQ((*stored_temperature(*open(copy)))->bias, bias);
  ASSERT_TRUE(store_temperature(*open(copy), {0.75}));
  EXPECT_EQ((*stored_temperature(*open(copy)))->bias, std::vector<float>());
}

TEST_F(StoredTemperatureTest, RefusesWhatIsNone) {
  const auto original = open(directory_);
  EXPECT_FALSE(store_temperature(*original, {0}, folder_ / "copy"));
  EXPECT_FALSE(store_temperature(*original, {1e9}, folder_ / "copy"));
  EXPECT_FALSE(fs::exists(folder_ / "copy"));
  const fs::path copy = folder_ / "copy";
  ASSERT_TRUE(store_temperature(*original, {1}, copy));
  EXPECT_FALSE(store_temperature(*original, {1, {100}}, folder_ / "hot"));
  EXPECT_FALSE(store_temperature(*original, {1, std::vector<float>(64)}, folder_ / "long"));
  EXPECT_FALSE(fs::exists(folder_ / "hot"));
  for (const char* text : {"[]", "{\"temperature\": \"hot\"}", "{\"temperature\": -1}", "{",
                           R"({"temperature": 1, "temperature_bias": 1})",
                           R"({"temperature": 1, "temperature_bias": ["a"]})",
                           R"({"temperature": 1, "temperature_bias": [9]})"}) {
    std::ofstream(copy / "fathom.json") << text;
    const auto stored = stored_temperature(*open(copy));
    ASSERT_FALSE(stored) << text;
    EXPECT_NE(stored.error().message.find("fathom.json"), std::string::npos);
  }
}

TEST_F(StoredTemperatureTest, NeedsAPlaceToWriteTo) {
  const auto stored = store_temperature(*open(gguf_), {1.125}, folder_ / "no" / "such" / "a.gguf");
  ASSERT_FALSE(stored);
  EXPECT_NE(stored.error().message.find("a.gguf"), std::string::npos);
}

}  // namespace
}  // namespace fathom

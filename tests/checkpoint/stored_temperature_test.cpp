#include "checkpoint/stored_temperature.h"

#include <gtest/gtest.h>

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
  ASSERT_TRUE(store_temperature(*original, 1.125, folder_ / "a.gguf"));
  EXPECT_EQ(bytes(gguf_), before);
  const auto calibrated = open(folder_ / "a.gguf");
  EXPECT_EQ(**stored_temperature(*calibrated), 1.125);
  expect_same_weights(*original, *calibrated);

  // Again, over the first and in place.
  ASSERT_TRUE(store_temperature(*calibrated, 0.75));
  const auto again = open(folder_ / "a.gguf");
  EXPECT_EQ(**stored_temperature(*again), 0.75);
  expect_same_weights(*original, *again);
  expect_same_weights(*original, *calibrated);  // still mapped
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(StoredTemperatureTest, IsAFileBesideAHuggingFaceConfig) {
  const auto original = open(directory_);
  EXPECT_FALSE(*stored_temperature(*original));
  const fs::path copy = folder_ / "copy";
  ASSERT_TRUE(store_temperature(*original, 1.25, copy));
  EXPECT_FALSE(fs::exists(directory_ / "fathom.json"));
  const auto calibrated = open(copy);
  EXPECT_EQ(**stored_temperature(*calibrated), 1.25);
  expect_same_weights(*original, *calibrated);
  ASSERT_TRUE(store_temperature(*calibrated, 1.5));
  EXPECT_EQ(**stored_temperature(*calibrated), 1.5);
  EXPECT_FALSE(store_temperature(*original, 1.25, copy));  // it is there
}

TEST_F(StoredTemperatureTest, RefusesWhatIsNone) {
  const auto original = open(directory_);
  EXPECT_FALSE(store_temperature(*original, 0, folder_ / "copy"));
  EXPECT_FALSE(store_temperature(*original, 1e9, folder_ / "copy"));
  EXPECT_FALSE(fs::exists(folder_ / "copy"));
  const fs::path copy = folder_ / "copy";
  ASSERT_TRUE(store_temperature(*original, 1, copy));
  for (const char* text : {"[]", "{\"temperature\": \"hot\"}", "{\"temperature\": -1}", "{"}) {
    std::ofstream(copy / "fathom.json") << text;
    const auto stored = stored_temperature(*open(copy));
    ASSERT_FALSE(stored) << text;
    EXPECT_NE(stored.error().message.find("fathom.json"), std::string::npos);
  }
}

TEST_F(StoredTemperatureTest, NeedsAPlaceToWriteTo) {
  const auto stored = store_temperature(*open(gguf_), 1.125, folder_ / "no" / "such" / "a.gguf");
  ASSERT_FALSE(stored);
  EXPECT_NE(stored.error().message.find("a.gguf"), std::string::npos);
}

}  // namespace
}  // namespace fathom

// Words of a packed matrix, against those that AutoAWQ itself packs
// (tests/golden/awq_packing.json).
#include "compress/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "checkpoint/safetensors_file.h"
#include "hub/test_files.h"
#include "tensor/dequantize.h"
#include "tensor/encode.h"

namespace fathom {
namespace {

template <typename T>
std::vector<T> stored(const std::vector<Tensor>& tensors, const std::string& name) {
  for (const Tensor& tensor : tensors) {
    if (tensor.name != name) continue;
    std::vector<T> values(static_cast<size_t>(tensor.bytes) / sizeof(T));
    std::memcpy(values.data(), tensor.data, static_cast<size_t>(tensor.bytes));
    return values;
  }
  ADD_FAILURE() << name << " is missing";
  return {};
}

TEST(MatrixPacker, PacksAsAutoAwqDoes) {
  const std::filesystem::path data = std::filesystem::path(FATHOM_TEST_DATA) / "golden";
  const auto golden = nlohmann::json::parse(std::ifstream(data / "awq_packing.json"));
  const int64_t rows = golden["rows"];
  const int64_t width = golden["width"];
  ASSERT_EQ(golden["group"], 32);
  const auto codes = golden["codes"].get<std::vector<int8_t>>();
  const auto zeros = golden["zeros"].get<std::vector<uint8_t>>();
  const auto scales = golden["scales"].get<std::vector<int16_t>>();
  const GroupCodec codec(DType::kI4Z_32);
  std::vector<std::byte> blocks(static_cast<size_t>(byte_size(DType::kI4Z_32, rows * width)));
  for (size_t g = 0; g < zeros.size(); ++g) {
    codec.write(half_to_float(static_cast<uint16_t>(scales[g])), zeros[g],
                std::span(codes).subspan(g * 32, 32),
                blocks.data() + g * static_cast<size_t>(codec.bytes()));
  }
  const hub::TemporaryDirectory folder;
  const auto path = folder.path() / "packed.safetensors";
  const Tensor matrix{.name = "m.weight", .shape = {rows, width}};
  auto file =
      SafetensorsOutput::create({path}, packed_parts(PackedLayout::kAwq, matrix, DType::kI4Z_32));
  ASSERT_TRUE(file) << file.error().message;
  MatrixPacker packer(PackedLayout::kAwq, DType::kI4Z_32, rows, width, 0);
  const size_t row_bytes = blocks.size() / static_cast<size_t>(rows);
  for (int64_t row = rows - 1; row >= 0; --row) {  // in any order
    ASSERT_TRUE(packer.write(
        *file, row, std::span(blocks).subspan(static_cast<size_t>(row) * row_bytes, row_bytes)));
  }
  ASSERT_TRUE(file->commit());
  const auto mapped = MappedFile::open(path);
  ASSERT_TRUE(mapped);
  const auto tensors = parse_safetensors(mapped->bytes(), "packed");
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ(stored<int32_t>(*tensors, "m.qweight"), golden["qweight"].get<std::vector<int32_t>>());
  EXPECT_EQ(stored<int32_t>(*tensors, "m.qzeros"), golden["qzeros"].get<std::vector<int32_t>>());
  EXPECT_EQ(stored<int16_t>(*tensors, "m.scales"),
            golden["packed_scales"].get<std::vector<int16_t>>());
}

}  // namespace
}  // namespace fathom

// Packed weights are kept on disk: a change of what pack() writes must change
// kPackedLayoutVersion, or a file of before would be used as if it were of today. These digests of
// known matrices notice the change; they are of our own making, because there is nothing else to
// compare with: what the bytes mean is for the matrix product's tests to say.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/fingerprint.h"
#include "kernels/kernels_under_test.h"
#include "kernels/packed/panels.h"

namespace fathom::testing {
namespace {

constexpr uint32_t kVersionOfDigests = 1;

// Where 8-bit codes are stored plus 128, too: what a layout depends on beside the type.
struct LayoutKind {
  int lanes;
  bool unsigned8;
};
constexpr LayoutKind kKinds[] = {{8, false}, {16, true}};  // AVX2 and NEON; AVX-512

const std::map<DType, std::array<uint64_t, 2>> kDigests = {
    {DType::kF32, {0xad854beb61d02840, 0x8f24ef21b7be810b}},
    {DType::kF16, {0x7434b1eb24df5109, 0x33628b458e348423}},
    {DType::kBF16, {0x59bfe6b6f5d68a27, 0xcb49decfb7803199}},
    {DType::kF8E4M3, {0xb88772a3778d2c49, 0xe29f9ff951b31a98}},
    {DType::kQ4_0, {0x314f4d4535fed9a2, 0xaa05f88965b7033d}},
    {DType::kQ4_1, {0xf348143278ffc665, 0x78b3a7bbffacb728}},
    {DType::kQ5_0, {0x9a9ab91f04083324, 0xf19ba917f6fddf46}},
    {DType::kQ5_1, {0x89f0ee3f9c315ea5, 0x4d06daa1bf41f002}},
    {DType::kQ8_0, {0xa29796980a0e6df3, 0xf86663039da04c23}},
    {DType::kQ2_K, {0x633c995c50473c60, 0xca01f487d36b205f}},
    {DType::kQ3_K, {0x649efb70d28dc1f6, 0x0f055fb4994ae71e}},
    {DType::kQ4_K, {0x06a147681d6504e5, 0x0b4ee39d568c8588}},
    {DType::kQ5_K, {0x70ba6c70d8169fa2, 0x990fb05f55c877a6}},
    {DType::kQ6_K, {0x8234e42ffb96c0db, 0x4b865a26d9b201e3}},
    {DType::kI4_64, {0x55969c4aebdbd255, 0x89504482927cc4c1}},
    {DType::kI4_128, {0x97aa36e1222b8985, 0x417fdd0b7b98c7d9}},
    {DType::kI4Z_32, {0x5017e569e3ac9b23, 0x2319d7fb44e80f83}},
    {DType::kI4Z_64, {0x42f250acf3650478, 0xafcedc9365542f3e}},
    {DType::kI4Z_128, {0x7db6cf6ca5055371, 0xe47e8b7bb2f50942}},
    {DType::kI8_128, {0xa141af42ee32198a, 0xfd687a71d90b95d7}},
    {DType::kI8Row, {0x743ab9d3da65809f, 0xfdff07e4db5382fd}},
};

// Random bytes: as good as any weights, and the same with every standard library.
OwnedMatrix known_matrix(DType dtype) {
  OwnedMatrix matrix = random_matrix(dtype, 40, 512, 1);
  std::mt19937 random(2);
  for (std::byte& byte : matrix.bytes) byte = static_cast<std::byte>(random() & 0x3fU);
  for (float& scale : matrix.block_scales) scale = static_cast<float>(random() & 0xffU);
  return matrix;
}

std::vector<std::byte> panels_of(const Tensor& matrix, LayoutKind kind) {
  const PanelLayout layout(matrix.dtype, matrix.shape[1], kind.lanes, kind.unsigned8);
  const int64_t panels = (matrix.shape[0] + layout.width - 1) / layout.width;
  std::vector<std::byte> bytes(static_cast<size_t>(panels * layout.bytes));
  for (int64_t p = 0; p < panels; ++p) {
    pack_panel(layout, matrix, p * layout.width, bytes.data() + p * layout.bytes);
  }
  return bytes;
}

uint64_t digest(DType dtype, LayoutKind kind) {
  const OwnedMatrix matrix = known_matrix(dtype);
  Fingerprint fingerprint;
  // The file has the type's number.
  fingerprint.add(static_cast<uint64_t>(dtype));
  fingerprint.add(panels_of(matrix.tensor, kind));
  return fingerprint.value();
}

TEST(PackedLayout, IsTheOneThatItsVersionStandsFor) {
  EXPECT_EQ(kPackedLayoutVersion, kVersionOfDigests)
      << "put the version and its digests here: the failures below print them";
  for (const DType dtype : weight_types()) {
    const std::array<uint64_t, 2> now = {digest(dtype, kKinds[0]), digest(dtype, kKinds[1])};
    const auto known = kDigests.find(dtype);
    EXPECT_TRUE(known != kDigests.end() && known->second == now)
        << name(dtype) << " is packed to other bytes than before, or is new:\n"
        << fmt::format("    {{DType::k{}, {{0x{:016x}, 0x{:016x}}}}},\n", name(dtype), now[0],
                       now[1])
        << "If the layout has changed, count kPackedLayoutVersion (kernels/packed/panels.h) up.";
  }
}

TEST(PackedLayout, IsWhatTheKernelsPack) {
  for (const VectorOps* ops : instruction_sets()) {
    const auto kernels = make_kernels(*ops, 2);
    for (const DType dtype : weight_types()) {
      const OwnedMatrix matrix = known_matrix(dtype);
      const PackedMatrix packed = kernels->pack(matrix.tensor);
      const auto expected = panels_of(matrix.tensor, {ops->lanes, ops->unsigned8});
      ASSERT_EQ(packed.bytes, static_cast<int64_t>(expected.size()));
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), packed.data.get()))
          << ops->name << " " << name(dtype);
    }
  }
}

TEST(PackedLayout, EveryPackedMatrixIsOneThatCanBePacked) {
  for (const VectorOps* ops : instruction_sets()) {
    const auto kernels = make_kernels(*ops, 2);
    for (const DType dtype : weight_types()) {
      const OwnedMatrix matrix = known_matrix(dtype);
      const PackedMatrix packed = kernels->pack(matrix.tensor);
      EXPECT_TRUE(kernels->can_be_packed(packed)) << ops->name << " " << name(dtype);

      PackedMatrix other = packed;
      other.bytes -= 64;
      EXPECT_FALSE(kernels->can_be_packed(other));
      other = packed;
      other.out += 64;
      EXPECT_FALSE(kernels->can_be_packed(other));
      other = packed;
      other.layout = 1000;
      EXPECT_FALSE(kernels->can_be_packed(other));
      other = packed;
      other.in = 0;
      EXPECT_FALSE(kernels->can_be_packed(other));
    }
  }
}

TEST(PackedLayout, OfFp8WithNansIsOneThatCanBePacked) {
  for (const VectorOps* ops : instruction_sets()) {
    const auto kernels = make_kernels(*ops, 2);
    OwnedMatrix matrix = known_matrix(DType::kF8E4M3);
    matrix.bytes[7] = std::byte{0x7f};
    EXPECT_TRUE(kernels->can_be_packed(kernels->pack(matrix.tensor)));
  }
}

}  // namespace
}  // namespace fathom::testing

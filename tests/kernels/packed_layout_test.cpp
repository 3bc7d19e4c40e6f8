// Packed weights are kept on disk: a change of what pack() writes must change
// kPackedLayoutVersion, or a file of before would be used as if it were of today. These digests of
// known matrices notice the change; they are of our own making, because there is nothing else to
// compare with: what the bytes mean is for the matrix product's tests to say.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <map>

#include "base/fingerprint.h"
#include "kernels/kernels_under_test.h"
#include "kernels/packed/panels.h"

namespace fathom::testing {
namespace {

constexpr uint32_t kVersionOfDigests = 1;

// By number of lanes (8: AVX2; 16: AVX-512) and type.
const std::map<int, std::map<DType, uint64_t>> kDigests = {
    {8, {}},
    {16, {}},
};

// Random bytes: as good as any weights, and the same with every standard library.
OwnedMatrix known_matrix(DType dtype) {
  OwnedMatrix matrix = random_matrix(dtype, 40, 512, 1);
  std::mt19937 random(2);
  for (std::byte& byte : matrix.bytes) byte = static_cast<std::byte>(random() & 0x3fU);
  for (float& scale : matrix.block_scales) scale = static_cast<float>(random() & 0xffU);
  return matrix;
}

uint64_t digest(Kernels& kernels, DType dtype) {
  const OwnedMatrix matrix = known_matrix(dtype);
  const PackedMatrix packed = kernels.pack(matrix.tensor);
  Fingerprint fingerprint;
  fingerprint.add(static_cast<uint64_t>(packed.dtype));
  fingerprint.add(static_cast<uint64_t>(packed.layout));
  fingerprint.add(std::span(packed.data.get(), static_cast<size_t>(packed.bytes)));
  return fingerprint.value();
}

TEST(PackedLayout, IsTheOneThatItsVersionStandsFor) {
  EXPECT_EQ(kPackedLayoutVersion, kVersionOfDigests)
      << "put the new digests here, which the failures below print, and the version";
  for (const VectorOps* ops : instruction_sets()) {
    const auto kernels = make_kernels(*ops, 2);
    const auto& known = kDigests.at(ops->lanes);
    for (const DType dtype : weight_types()) {
      const uint64_t now = digest(*kernels, dtype);
      const auto found = known.find(dtype);
      EXPECT_TRUE(found != known.end() && found->second == now)
          << ops->name << " packs " << name(dtype) << " to other bytes than before, or to its first"
          << " ones:\n    {DType::k" << name(dtype) << ", " << fmt::format("0x{:016x}", now)
          << "},  // " << ops->lanes << " lanes\nIf the layout has changed, count "
          << "kPackedLayoutVersion (kernels/packed/panels.h) up.";
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
      other.out += 16;
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

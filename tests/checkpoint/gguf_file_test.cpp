// The GGUF container, against every class of malformed file that was reported for other readers.
#include "checkpoint/gguf_file.h"

#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/expect_error.h"
#include "checkpoint/gguf_writer.h"

namespace fathom {
namespace {

constexpr uint64_t kHuge = uint64_t{1} << 63;

Result<GgufFile> parse(const GgufWriter& writer) {
  const std::vector<std::byte> bytes = writer.bytes();
  return parse_gguf(bytes, "x.gguf");
}

GgufWriter with_tensor() {
  GgufWriter file;
  file.add_f32("w", {4, 3});
  return file;
}

TEST(GgufFile, ReadsMetadataAndTensorsOfVersions2And3) {
  for (const uint32_t version : {2U, 3U}) {
    GgufWriter file = with_tensor();
    file.version = version;
    file.set_int("an.int", 7);
    file.set_string("a.string", "text");
    const std::vector<std::byte> bytes = file.bytes();
    const auto gguf = parse_gguf(bytes, "x.gguf");
    expect_ok(gguf);
    EXPECT_EQ(gguf->version, version);
    EXPECT_EQ(gguf->metadata.get_int("an.int").value(), 7);
    EXPECT_EQ(gguf->metadata.get_string("a.string").value(), "text");
    ASSERT_EQ(gguf->tensors.size(), 1U);
    EXPECT_EQ(gguf->tensors[0].shape, (Shape{3, 4}));
    EXPECT_EQ(gguf->tensors[0].bytes, 48);
  }
}

TEST(GgufFile, RejectsAFileWithoutTheMagicNumber) {
  GgufWriter file;
  file.magic = "GGML";
  expect_error(parse(file), {"x.gguf is not a GGUF file"});
}

TEST(GgufFile, RejectsAnEmptyFile) {
  expect_error(parse_gguf({}, "x.gguf"), {"x.gguf is not a GGUF file"});
}

TEST(GgufFile, RejectsVersion1) {
  GgufWriter file;
  file.version = 1;
  expect_error(parse(file), {"GGUF version 1", "2 and 3 are supported"});
}

TEST(GgufFile, RejectsABigEndianFile) {
  GgufWriter file;
  file.version = 3U << 24;
  expect_error(parse(file), {"big-endian"});
}

TEST(GgufFile, RejectsAFileCutOffAnywhereInItsHeader) {
  GgufWriter file = with_tensor();
  file.set_string("key", "value");
  file.set_strings("list", {"a", "b"});
  const std::vector<std::byte> bytes = file.bytes();
  expect_ok(parse_gguf(bytes, "x.gguf"));
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(parse_gguf(std::span(bytes).first(length), "x.gguf")) << length << " bytes";
  }
}

TEST(GgufFile, RejectsATensorCountOf2To63) {
  GgufWriter file = with_tensor();
  file.tensor_count = kHuge;
  expect_error(parse(file), {"announces", "9223372036854775808 tensors"});
}

TEST(GgufFile, RejectsAMetadataCountOf2To63) {
  GgufWriter file = with_tensor();
  file.pair_count = kHuge;
  expect_error(parse(file), {"announces 9223372036854775808 metadata keys"});
}

TEST(GgufFile, RejectsAKeyLengthOf2To63) {
  GgufWriter file;
  file.pair_count = 1;
  std::vector<std::byte> bytes = file.bytes();
  const Bytes tail = Bytes().add(kHuge).text(std::string(64, 'k'));
  bytes.resize(24);
  bytes.insert(bytes.end(), tail.data().begin(), tail.data().end());
  expect_error(parse_gguf(bytes, "x.gguf"), {"needs 9223372036854775808 bytes"});
}

TEST(GgufFile, RejectsAStringLengthThatWrapsAround) {
  GgufWriter file;
  file.set_raw("key", Bytes()
                          .add(static_cast<uint32_t>(GgufType::kString))
                          .add(std::numeric_limits<uint64_t>::max())
                          .text("abc"));
  expect_error(parse(file), {"key", "needs 18446744073709551615 bytes"});
}

TEST(GgufFile, RejectsAnArrayLengthOf2To63) {
  for (const GgufType element : {GgufType::kU8, GgufType::kF64, GgufType::kString}) {
    GgufWriter file;
    file.set_raw("list", GgufWriter::array_header(element, kHuge).add<uint64_t>(0));
    expect_error(parse(file), {"list", "array of 9223372036854775808 values"});
  }
}

TEST(GgufFile, RejectsAnArrayWhoseSizeInBytesWrapsAround) {
  GgufWriter file;
  file.set_raw("list", GgufWriter::array_header(GgufType::kF64, kHuge / 4 + 1).add<uint64_t>(0));
  expect_error(parse(file), {"list", "bytes are left"});
}

TEST(GgufFile, RejectsArraysOfArrays) {
  GgufWriter file;
  file.set_raw("list", GgufWriter::array_header(GgufType::kArray, 1)
                           .add(static_cast<uint32_t>(GgufType::kU8))
                           .add<uint64_t>(0));
  expect_error(parse(file), {"list", "array of arrays"});
}

TEST(GgufFile, RejectsUnknownMetadataTypes) {
  GgufWriter file;
  file.set_raw("key", Bytes().add<uint32_t>(13).add<uint64_t>(0));
  expect_error(parse(file), {"key", "unknown type 13"});
  GgufWriter array;
  array.set_raw("list",
                Bytes().add(static_cast<uint32_t>(GgufType::kArray)).add<uint32_t>(99).add(1ULL));
  expect_error(parse(array), {"list", "unknown type 99"});
}

TEST(GgufFile, RejectsABoolThatIsNeitherTrueNorFalse) {
  GgufWriter file;
  file.set_scalar("flag", GgufType::kBool, uint8_t{2});
  expect_error(parse(file), {"flag", "bool of value 2"});
}

TEST(GgufFile, RejectsDuplicateKeys) {
  GgufWriter file;
  file.set_int("key", 1);
  file.pairs.push_back(file.pairs[0]);
  expect_error(parse(file), {"key occurs twice"});
}

TEST(GgufFile, RejectsKeysWithControlCharacters) {
  GgufWriter file;
  file.set_int("evil\x1b[2J", 1);
  expect_error(parse(file), {"\\x1b", "characters that no name has"});
}

TEST(GgufFile, RejectsAlignmentsThatAreZeroAbsurdOrNoPowerOfTwo) {
  for (const uint32_t alignment : {0U, 1U, 4U, 24U, 33U, 1U << 21, 1U << 31}) {
    GgufWriter file = with_tensor();
    file.set_int("general.alignment", alignment);
    expect_error(parse(file), {"general.alignment is " + std::to_string(alignment)});
  }
}

TEST(GgufFile, RejectsAnAlignmentOfAnotherType) {
  GgufWriter file = with_tensor();
  file.set_string("general.alignment", "32");
  expect_error(parse(file), {"general.alignment should be an integer", "string"});
}

TEST(GgufFile, HonoursTheAlignment) {
  GgufWriter file = with_tensor();
  file.add_f32("second", {5});
  file.alignment = 64;
  file.set_int("general.alignment", 64);
  const std::vector<std::byte> bytes = file.bytes();
  const auto gguf = parse_gguf(bytes, "x.gguf");
  expect_ok(gguf);
  EXPECT_EQ((gguf->tensors[0].data - bytes.data()) % 64, 0);
  EXPECT_EQ(gguf->tensors[1].data - gguf->tensors[0].data, 64);
}

TEST(GgufFile, RejectsMoreThanFourDimensions) {
  for (const size_t rank : {0, 5, 9}) {
    GgufWriter file;
    file.tensor("w").dims.assign(rank, 1);
    expect_error(parse(file), {"w has " + std::to_string(rank) + " dimensions"});
  }
}

TEST(GgufFile, RejectsDimensionsOfZeroAndNegativeOnes) {
  for (const uint64_t dim : {uint64_t{0}, kHuge, std::numeric_limits<uint64_t>::max()}) {
    GgufWriter file;
    file.tensor("w").dims = {4, dim};
    expect_error(parse(file), {"w has an impossible size", std::to_string(dim)});
  }
}

TEST(GgufFile, RejectsDimensionsWhoseProductWrapsAround) {
  GgufWriter file;
  file.tensor("w").dims = {1ULL << 32, 1ULL << 32, 2};
  expect_error(parse(file), {"w has an impossible size"});
  GgufWriter bytes;
  bytes.tensor("w").dims = {1ULL << 62};  // fits as a count, not in bytes
  expect_error(parse(bytes), {"w of shape [4611686018427387904] is impossibly large"});
}

TEST(GgufFile, RejectsUnknownTensorTypes) {
  GgufWriter file = with_tensor();
  file.tensor("w").type = 4711;
  expect_error(parse(file), {"w has the unknown type 4711"});
}

TEST(GgufFile, NamesTensorTypesItDoesNotSupport) {
  GgufWriter file = with_tensor();
  file.tensor("w").type = 23;
  expect_error(parse(file), {"w is of type IQ4_XS, which is not supported", "Q4_0"});
}

TEST(GgufFile, RejectsRowsThatAreNotWholeBlocks) {
  GgufWriter file = with_tensor();
  file.tensor("w").type = 12;  // Q4_K
  expect_error(parse(file), {"rows of the tensor w have 4 elements", "256"});
}

TEST(GgufFile, RejectsATensorThatEndsOutsideTheFile) {
  GgufWriter file = with_tensor();
  file.tensor("w").dims = {4, 4};
  expect_error(parse(file), {"w needs 64 bytes at offset 0", "has 48 bytes"});
}

TEST(GgufFile, RejectsATensorThatStartsOutsideTheFile) {
  for (const uint64_t offset : {uint64_t{4096}, kHuge, ~uint64_t{31}}) {
    GgufWriter file = with_tensor();
    file.tensor("w").offset = offset;
    expect_error(parse(file), {"w needs 48 bytes at offset " + std::to_string(offset)});
  }
}

TEST(GgufFile, RejectsUnalignedTensors) {
  GgufWriter file = with_tensor();
  file.tensor("w").offset = 4;
  expect_error(parse(file), {"w starts at offset 4", "alignment of 32"});
}

TEST(GgufFile, RejectsOverlappingTensors) {
  GgufWriter file;
  file.add_f32("a", {16});
  file.add_f32("b", {16});
  file.tensor("b").offset = 32;
  expect_error(parse(file), {"tensors a and b overlap"});
}

TEST(GgufFile, RejectsDuplicateTensorNames) {
  GgufWriter file = with_tensor();
  file.tensors.push_back(file.tensors[0]);
  expect_error(parse(file), {"w occurs twice"});
}

TEST(GgufFile, RejectsTensorNamesThatAreEmptyOrEndless) {
  for (const size_t length : {0, 5000}) {
    GgufWriter file = with_tensor();
    file.tensors[0].name = std::string(length, 'n');
    expect_error(parse(file), {"a tensor name has " + std::to_string(length) + " bytes"});
  }
}

TEST(GgufFile, KnowsThePartsOfASplitModel) {
  const auto parts = gguf_parts("models/r1-00002-of-00003.gguf");
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0], "models/r1-00001-of-00003.gguf");
  EXPECT_EQ(parts[2], "models/r1-00003-of-00003.gguf");
  EXPECT_EQ(gguf_parts("whole.gguf").size(), 1U);
}

TEST(GgufMetadata, SaysWhatTypeItFound) {
  GgufWriter file;
  file.set_string("text", "7");
  file.set_array<uint8_t>("bytes", GgufType::kU8, {1, 2});
  file.set_scalar("large", GgufType::kU64, std::numeric_limits<uint64_t>::max());
  const std::vector<std::byte> bytes = file.bytes();
  const auto gguf = parse_gguf(bytes, "x.gguf");
  expect_ok(gguf);
  const GgufMetadata& metadata = gguf->metadata;
  expect_error(metadata.get_int("text"), {"text should be an integer", "of type string"});
  expect_error(metadata.get_float("text"), {"text should be a number", "of type string"});
  expect_error(metadata.get_bool("text"), {"text should be a bool", "of type string"});
  expect_error(metadata.get_string("bytes"), {"bytes should be a string", "array of u8"});
  expect_error(metadata.get_strings("bytes"), {"bytes should be an array of strings"});
  expect_error(metadata.get_floats("text"), {"text should be an array of numbers"});
  expect_error(metadata.get_ints("text"), {"text should be an array of integers"});
  expect_error(metadata.get_int("large"), {"large should be an integer below 2^63"});
}

TEST(GgufMetadata, ReadsArraysOfNarrowerTypesByTheirOwnWidth) {
  GgufWriter file;
  file.set_array<uint8_t>("narrow", GgufType::kU8, {1, 200, 3});
  file.set_array<double>("wide", GgufType::kF64, {0.5, -2});
  file.set_array<uint32_t>("empty", GgufType::kU32, {});
  const std::vector<std::byte> bytes = file.bytes();
  const auto gguf = parse_gguf(bytes, "x.gguf");
  expect_ok(gguf);
  EXPECT_EQ(gguf->metadata.get_ints("narrow").value(), (std::vector<int32_t>{1, 200, 3}));
  EXPECT_EQ(gguf->metadata.get_floats("narrow").value(), (std::vector<float>{1, 200, 3}));
  EXPECT_EQ(gguf->metadata.get_floats("wide").value(), (std::vector<float>{0.5F, -2}));
  EXPECT_TRUE(gguf->metadata.get_strings("empty").value().empty());
  EXPECT_TRUE(gguf->metadata.get_ints("missing").value().empty());
}

}  // namespace
}  // namespace fathom

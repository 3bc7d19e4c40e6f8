// The safetensors container, against every class of malformed file reported for other readers.
#include "checkpoint/safetensors_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/expect_error.h"
#include "checkpoint/safetensors_writer.h"

namespace fathom {
namespace {

std::vector<std::byte> file_of(std::string_view header, size_t data_bytes) {
  return safetensors_bytes(header, std::vector<std::byte>(data_bytes));
}

void expect_refused(std::string_view header, size_t data_bytes,
                    std::initializer_list<std::string_view> parts) {
  expect_error(parse_safetensors(file_of(header, data_bytes), "x.safetensors"), parts);
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  SafetensorsWriter writer;
  writer.add_f32("b", {2, 3});
  writer.add("a", "BF16", {4}, std::vector<std::byte>(8));
  writer.add("scalar", "I64", {}, std::vector<std::byte>(8));
  writer.add("nothing", "F32", {0, 7}, {});
  const std::vector<std::byte> bytes = writer.bytes();
  const auto tensors = parse_safetensors(bytes, "x.safetensors");
  expect_ok(tensors);
  ASSERT_EQ(tensors->size(), 4U);
  EXPECT_EQ((*tensors)[0].name, "b");
  EXPECT_EQ((*tensors)[0].shape, (Shape{2, 3}));
  EXPECT_EQ((*tensors)[1].name, "a");
  EXPECT_EQ((*tensors)[1].dtype, DType::kBF16);
  EXPECT_EQ((*tensors)[1].data, (*tensors)[0].data + 24);
  EXPECT_EQ((*tensors)[2].shape.rank(), 0);
}

TEST(Safetensors, RejectsFilesTooShortForAHeaderLength) {
  expect_error(parse_safetensors(std::vector<std::byte>(7), "x.safetensors"), {"only 7 bytes"});
}

TEST(Safetensors, RejectsAHeaderLongerThanTheFile) {
  const auto bytes = Bytes().add<uint64_t>(1000).text("{}").data();
  expect_error(parse_safetensors(bytes, "x.safetensors"), {"header should have 1000 bytes"});
}

TEST(Safetensors, RejectsHeaderLengthsThatWrapAround) {
  for (const uint64_t length : {uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{7}}) {
    const auto bytes = Bytes().add(length).text("{}").data();
    expect_error(parse_safetensors(bytes, "x.safetensors"), {std::to_string(length), "100000000"});
  }
}

TEST(Safetensors, RejectsAHeaderThatIsNotAnObject) {
  expect_refused("[]", 0, {"does not begin with \"{\""});
  expect_refused("", 0, {"does not begin with \"{\""});
}

TEST(Safetensors, RejectsBrokenJson) {
  expect_refused("{\"a\": ", 0, {"the header of x.safetensors is not usable JSON"});
}

TEST(Safetensors, RejectsInvalidUtf8) {
  expect_refused("{\"\xff\xfe\": 1}", 0, {"not usable JSON", "UTF-8"});
}

TEST(Safetensors, RejectsDuplicateKeys) {
  constexpr std::string_view kEntry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  const std::string header = fmt::format(R"({{"a":{},"a":{}}})", kEntry, kEntry);
  expect_refused(header, 1, {"\"a\" occurs twice"});
}

TEST(Safetensors, RejectsAHeaderNestedTooDeep) {
  const std::string bomb = "{\"a\":" + std::string(100'000, '[');
  expect_refused(bomb, 0, {"nested deeper than 64"});
}

TEST(Safetensors, RejectsEntriesThatAreNoTensors) {
  expect_refused(R"({"a":3})", 0, {"a is not an object"});
  expect_refused(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, {"a has no dtype"});
  expect_refused(R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,1]}})", 1, {"a has no dtype"});
  expect_refused(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, {"a has no shape"});
  expect_refused(R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"a has no data_offsets"});
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1,
                 {"a has no data_offsets of two"});
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1,
                 {"a has no data_offsets of two"});
}

TEST(Safetensors, RejectsUnknownTypes) {
  expect_refused(R"({"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,1]}})", 1,
                 {"a is of type \"Q7\", which is not supported"});
}

TEST(Safetensors, RejectsNegativeAndBrokenDimensions) {
  for (const std::string_view shape : {"[-1]", "[1.5]", "[\"1\"]", "[18446744073709551615]"}) {
    expect_refused(
        fmt::format(R"({{"a":{{"dtype":"U8","shape":{},"data_offsets":[0,1]}}}})", shape), 1,
        {"a has a dimension"});
  }
}

TEST(Safetensors, RejectsMoreThanFourDimensions) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                 {"a has 5 dimensions"});
}

TEST(Safetensors, RejectsShapesWhoseProductWrapsAround) {
  expect_refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})",
                 0, {"a has the impossible shape"});
  expect_refused(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0,
                 {"a has the impossible shape"});
}

TEST(Safetensors, RejectsBytesThatContradictTheShape) {
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                 {"a of shape [2] and type F32 needs 8 bytes", "span 4"});
}

TEST(Safetensors, RejectsOffsetsOutOfOrder) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1,
                 {"data_offsets out of order: [1, 0]"});
}

TEST(Safetensors, RejectsNegativeOffsets) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1,
                 {"a has no data_offsets of two whole numbers"});
}

TEST(Safetensors, RejectsATensorThatEndsOutsideTheFile) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 8,
                 {"a ends at byte 9 of the data, but the file has 8"});
  expect_refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}})",
      8, {"ends at byte 18446744073709551615"});
}

TEST(Safetensors, RejectsOverlappingTensors) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                 6, {"b overlaps another"});
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                 4, {"overlaps another"});
}

TEST(Safetensors, RejectsHoles) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                 3, {"1 bytes before the tensor b belong to no tensor"});
}

TEST(Safetensors, RejectsBytesAfterTheLastTensor) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 5,
                 {"the last 4 bytes belong to no tensor"});
}

TEST(Safetensors, RejectsNamesWithControlCharacters) {
  expect_refused(R"({"a\u001b[2J":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
                 {"\"a\\x1b[2J\" is not a name for a tensor"});
}

TEST(Safetensors, RejectsAFileCutOffAnywhere) {
  SafetensorsWriter writer;
  writer.add_f32("a", {2, 3});
  const std::vector<std::byte> bytes = writer.bytes();
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(parse_safetensors(std::span(bytes).first(length), "x.safetensors")) << length;
  }
}

}  // namespace
}  // namespace fathom

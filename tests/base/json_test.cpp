#include "base/json.h"

#include <gtest/gtest.h>

#include "base/quote.h"

namespace fathom {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  const auto json = parse_json(text, "the file", limits);
  return json ? "accepted" : json.error().message;
}

TEST(Json, ReadsWhatTheLibraryReads) {
  const auto json =
      parse_json(R"({"a": [1, -2, 3.5, true, null, "\u00e9"], "b": {"c": {}}})", "the file");
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(*json,
            nlohmann::json::parse(R"({"a": [1, -2, 3.5, true, null, "é"], "b": {"c": {}}})"));
  EXPECT_EQ(parse_json("7", "the file").value(), 7);
}

TEST(Json, SaysWhereTheTextIsBroken) {
  EXPECT_NE(error_of(R"({"a": ])").find("the file is not usable JSON"), std::string::npos);
  EXPECT_NE(error_of(R"({"a": ])").find("byte 7"), std::string::npos);
  EXPECT_NE(error_of("").find("not usable JSON"), std::string::npos);
  EXPECT_NE(error_of("{} {}").find("not usable JSON"), std::string::npos);
}

TEST(Json, RejectsTextThatIsNotUtf8) {
  EXPECT_NE(error_of("\"\xc3\x28\"").find("UTF-8"), std::string::npos);
}

TEST(Json, RejectsNumbersBeyondADouble) {
  EXPECT_NE(error_of("1e999").find("not usable JSON"), std::string::npos);
}

TEST(Json, AllowsDepth64AndNoMore) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(error_of(nested(64)), "accepted");
  EXPECT_NE(error_of(nested(65)).find("deeper than 64"), std::string::npos);
  EXPECT_NE(error_of(std::string(1'000'000, '[')).find("deeper than 64"), std::string::npos);
}

TEST(Json, RejectsAKeyThatOccursTwiceInOneObject) {
  EXPECT_NE(error_of(R"({"a": 1, "b": {"a": 1}, "a": 2})").find("\"a\" occurs twice"),
            std::string::npos);
  EXPECT_EQ(error_of(R"({"a": 1, "b": {"a": 1}})"), "accepted");
}

TEST(Json, KeepsTheOrderOfMembersWhereItIsAsked) {
  const auto json = parse_ordered_json(R"({"z": {"b": 1, "a": [{}]}, "c": 2, "a": 3})", "the file");
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(json->dump(), R"({"z":{"b":1,"a":[{}]},"c":2,"a":3})");
  const auto twice = parse_ordered_json(R"({"z": 1, "c": {"z": 1}, "z": 3})", "the file");
  ASSERT_FALSE(twice.has_value());
  EXPECT_NE(twice.error().message.find("\"z\" occurs twice"), std::string::npos);
}

TEST(Json, KeepsToItsLimits) {
  EXPECT_NE(error_of("[1, 2, 3]", {100, 3}).find("more values"), std::string::npos);
  EXPECT_EQ(error_of("[1, 2, 3]", {100, 4}), "accepted");
  EXPECT_NE(error_of("[1, 2, 3]", {8, 100}).find("9 bytes"), std::string::npos);
}

TEST(InQuotes, EscapesControlCharactersAndCutsLongText) {
  EXPECT_EQ(in_quotes("a\x1b[31m\n"), "\"a\\x1b[31m\\x0a\"");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')), "\"" + std::string(120, 'x') + "...\"");
}

}  // namespace
}  // namespace fathom

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

// The tiny tokenizer's ids: 5 is a blank, 6 a line's end, 7 "!", then ASCII in order.
int id(char c) {
  return c == ' ' ? 5 : c == '\n' ? 6 : c - '!' + 7;
}

TEST(Tokenize, PrintsIdsAndPieces) {
  const Finished finished = run({"tokenize", talking_model(), "a b"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  std::string expected;
  for (const auto& [token, piece] : {std::pair(id('a'), "a"), {5, "\xC4\xA0"}, {id('b'), "b"}}) {
    std::string number = std::to_string(token);
    expected += std::string(8 - number.size(), ' ') + number + "  \"" + piece + "\"\n";
  }
  EXPECT_EQ(finished.out, expected);
}

TEST(Tokenize, JsonHoldsIdsPiecesAndTheirCount) {
  const json result = json::parse(run({"tokenize", "-m", talking_model(), "--json", "Hi!"}).out);
  EXPECT_EQ(result.at("tokens"), json({id('H'), id('i'), id('!')}));
  EXPECT_EQ(result.at("pieces"), json({"H", "i", "!"}));
  EXPECT_EQ(result.at("count"), 3);
}

TEST(Tokenize, ReadsStandardInputAsItIs) {
  const json result = json::parse(run({"tokenize", talking_model(), "-", "--json"}, "a\n").out);
  EXPECT_EQ(result.at("tokens"), json({id('a'), 6}));
}

TEST(Tokenize, SpecialTokensInTheTextArePlainUnlessAskedFor) {
  const json plain =
      json::parse(run({"tokenize", talking_model(), "</s>", "--json"}).out).at("tokens");
  EXPECT_EQ(plain, json({id('<'), id('/'), id('s'), id('>')}));
  const json parsed =
      json::parse(run({"tokenize", talking_model(), "</s>", "--json", "--special", "parse"}).out)
          .at("tokens");
  EXPECT_EQ(parsed, json({2}));
}

TEST(Tokenize, TextThatIsNoUtf8StillMakesValidJson) {
  const Finished finished = run({"tokenize", talking_model(), "-", "--json"},
                                "a\xff\xfe"
                                "b");
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(json::parse(finished.out).at("tokens")[0], id('a'));
}

TEST(Tokenize, EmptyTextHasNoTokens) {
  const Finished finished = run({"tokenize", talking_model(), "-", "--json"}, "");
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(json::parse(finished.out).at("count"), 0);
}

TEST(Tokenize, AModelWithoutATokenizerSaysSo) {
  const Finished finished = run({"tokenize", golden_model("llama_gqa_tied"), "hello"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("no tokenizer"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace fathom::test

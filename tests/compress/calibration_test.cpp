#include "compress/calibration.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace fathom {
namespace {

std::unique_ptr<Tokenizer> tokenizer() {
  TextSource source;
  std::ifstream file(std::string(FATHOM_UNPACKED_DATA) + "/qwen3/tokenizer.json");
  source.tokenizer_json.assign(std::istreambuf_iterator<char>(file), {});
  auto made = Tokenizer::make(source);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *std::move(made) : nullptr;
}

TEST(Calibration, TakesPlainTextAsOneDocument) {
  const auto documents = calibration_documents("One line.\nAnother: {\"text\": 1}\n", "a.txt");
  ASSERT_TRUE(documents);
  EXPECT_EQ(*documents, std::vector<std::string>{"One line.\nAnother: {\"text\": 1}\n"});
}

TEST(Calibration, TakesTheTextOrTheMessagesOfEachJsonLine) {
  const auto documents = calibration_documents(
      "{\"text\": \"first\"}\n\n{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, "
      "{\"role\": \"assistant\", \"content\": \"b\"}]}\n",
      "a.jsonl");
  ASSERT_TRUE(documents) << documents.error().message;
  EXPECT_EQ(*documents, (std::vector<std::string>{"first", "a\nb\n"}));
}

TEST(Calibration, NamesTheLineThatIsWrong) {
  for (const char* line : {"{\"txt\": \"x\"}", "{\"text\": 3}", "{\"messages\": [3]}", "{broken"}) {
    const auto documents =
        calibration_documents(std::string("{\"text\": \"first\"}\n") + line, "a.jsonl");
    ASSERT_FALSE(documents) << line;
    EXPECT_NE(documents.error().message.find("a.jsonl:2"), std::string::npos)
        << documents.error().message;
  }
}

TEST(Calibration, RefusesTextThatIsEmptyOrShorterThanAWindow) {
  const auto empty = calibration_documents(" \n\t", "a.txt");
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("a.txt is empty"), std::string::npos);
  const auto words = tokenizer();
  ASSERT_NE(words, nullptr);
  const auto brief =
      calibration_windows(*words, {"Five or six words, perhaps."}, 512, 4096, "a.txt");
  ASSERT_FALSE(brief);
  EXPECT_NE(brief.error().message.find("fewer than one window of 512"), std::string::npos);
}

TEST(Calibration, SpreadsItsWindowsOverALongText) {
  const auto words = tokenizer();
  ASSERT_NE(words, nullptr);
  std::string text;
  for (int i = 0; i < 400; ++i) text += std::to_string(i) + " ";
  const auto all = calibration_windows(*words, {text}, 16, 1 << 20, "");
  ASSERT_TRUE(all);
  const auto some = calibration_windows(*words, {text}, 16, 64, "");
  ASSERT_TRUE(some);
  ASSERT_EQ(some->size(), 4U);
  for (const auto& window : *some) EXPECT_EQ(window.size(), 16U);
  EXPECT_EQ((*some)[0], (*all)[0]);
  EXPECT_EQ((*some)[2], (*all)[all->size() / 2]);
}

TEST(Calibration, ShipsWithTextForSeveralWindows) {
  const auto documents = calibration_documents(default_calibration_text(), "default");
  ASSERT_TRUE(documents);
  const auto words = tokenizer();
  ASSERT_NE(words, nullptr);
  const auto windows = calibration_windows(*words, *documents, 512, 1 << 20, "default");
  ASSERT_TRUE(windows);
  EXPECT_GE(windows->size(), 6U);
}

}  // namespace
}  // namespace fathom

#include "engine/reasoning_filter.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

struct Split {
  std::string reasoning;
  std::string answer;
  bool operator==(const Split&) const = default;
};

void PrintTo(const Split& split, std::ostream* out) {
  *out << '[' << split.reasoning << "|" << split.answer << ']';
}

Split split(bool starts_inside, const std::string& text, size_t size) {
  ReasoningFilter filter(starts_inside);
  Split result;
  auto take = [&](const std::vector<ReasoningFilter::Part>& parts) {
    for (const auto& part : parts) (part.reasoning ? result.reasoning : result.answer) += part.text;
  };
  for (size_t i = 0; i < text.size(); i += size) take(filter.push(text.substr(i, size)));
  take(filter.finish());
  return result;
}

struct Example {
  const char* what;
  bool starts_inside;
  std::string text;
  Split expected;
};

TEST(ReasoningFilter, SplitsReasoningFromTheAnswerHoweverTheTextIsCut) {
  const std::vector<Example> examples = {
      {"opened by the model", false, "<think>\nHm. 2 < 3\n</think>\n\nYes.", {"Hm. 2 < 3", "Yes."}},
      {"white space before the tag", false, "\n <think>a b</think>c", {"a b", "c"}},
      {"opened by the template",
       true,
       "\nHm\n\nwell\n</think>\n\nYes.\n",
       {"Hm\n\nwell", "Yes.\n"}},
      {"opened by both", true, "<think>\nHm\n</think>\nYes.", {"Hm", "Yes."}},
      {"empty block", false, "<think>\n\n</think>\n\nYes.", {"", "Yes."}},
      {"never closed", true, "Hm </thin", {"Hm </thin", ""}},
      {"other tags inside", true, "a <b> </b> </thi> </think>c", {"a <b> </b> </thi>", "c"}},
      {"no reasoning", false, "  Plain\n text ", {"", "  Plain\n text "}},
      {"only a beginning of the tag", false, "<thin", {"", "<thin"}},
      {"nothing but white space", false, "  \n", {"", "  \n"}},
      {"a tag later on", false, "Write <think>x</think>.", {"", "Write <think>x</think>."}},
      {"a second block", false, "<think>a</think>b <think>c</think>", {"a", "b <think>c</think>"}},
  };
  for (const auto& example : examples) {
    for (size_t size = 1; size <= example.text.size(); ++size) {
      EXPECT_EQ(split(example.starts_inside, example.text, size), example.expected)
          << example.what << ", in pieces of " << size;
    }
  }
}

TEST(ReasoningFilter, StreamsReasoningBeforeTheBlockIsClosed) {
  using Parts = std::vector<ReasoningFilter::Part>;
  ReasoningFilter filter(false);
  EXPECT_EQ(filter.push("<think>\nFirst"), (Parts{{"First", true}}));
  EXPECT_EQ(filter.push(" then \n</th"), (Parts{{" then", true}}));
  EXPECT_EQ(filter.push("ink>\n\nSo"), (Parts{{"So", false}}));
  EXPECT_EQ(filter.push(" it is."), (Parts{{" it is.", false}}));
  EXPECT_EQ(filter.finish(), Parts{});
}

}  // namespace
}  // namespace fathom

// Captions' scores against sacrebleu and pycocoevalcap (golden/make_captions_golden.py).
#include "evaluate/captions.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace fathom {
namespace {

TEST(CaptionScores, EqualSacrebleuAndPycocoevalcap) {
  std::ifstream file(FATHOM_TEST_DATA "/golden/captions.json");
  const auto golden = nlohmann::json::parse(file);
  std::vector<CaptionedImage> images;
  for (const auto& [id, candidate] : golden["candidates"].items()) {
    images.push_back({.id = id,
                      .references = golden["references"][id].get<std::vector<std::string>>(),
                      .candidate = candidate.get<std::string>()});
  }
  const CaptionScores scores = score_captions(images);
  EXPECT_EQ(scores.images, 30);
  for (size_t n = 0; n < 4; ++n) {
    const std::string name = "bleu_" + std::to_string(n + 1);
    EXPECT_NEAR(scores.bleu[n], golden["sacrebleu"][name].get<double>(), 1e-6) << name;
    EXPECT_NEAR(scores.bleu[n], golden["pycocoevalcap"][name].get<double>(), 1e-6) << name;
  }
  EXPECT_NEAR(scores.cider, golden["pycocoevalcap"]["cider"].get<double>(), 1e-6);
  EXPECT_NEAR(scores.rouge_l, golden["pycocoevalcap"]["rouge_l"].get<double>(), 1e-6);
}

TEST(CaptionScores, AreFullMarksForTheReferenceItselfAndNoneForOthers) {
  const CaptionedImage same{
      .id = "1", .references = {"A dog's well-worn ball."}, .candidate = "a dog's well-worn ball"};
  const CaptionedImage other{
      .id = "2", .references = {"two cats sleep in boxes"}, .candidate = "nothing of that"};
  const CaptionScores both = score_captions(std::vector{same, other});
  EXPECT_NEAR(both.rouge_l, 0.5, 1e-12);
  EXPECT_NEAR(both.cider, 5, 1e-9);
  EXPECT_NEAR(score_captions(std::vector{same}).bleu[3], 1, 1e-12);
  const CaptionScores none = score_captions(std::vector{other});
  EXPECT_EQ(none.bleu[0], 0);
  EXPECT_EQ(none.rouge_l, 0);
  EXPECT_EQ(score_captions({}).images, 0);
}

TEST(CaptionWords, AreLowerCaseWithoutPunctuation) {
  EXPECT_EQ(caption_words("A Dog's \"ball\", well-worn -- (red)!"),
            (std::vector<std::string>{"a", "dog's", "ball", "well-worn", "red"}));
  EXPECT_TRUE(caption_words(" .,- ").empty());
}

}  // namespace
}  // namespace fathom

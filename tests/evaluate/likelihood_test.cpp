#include "evaluate/likelihood.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cli/tiny_model.h"
#include "evaluate/distribution.h"

namespace fathom {
namespace {

Model load() {
  auto model = Model::load(test::talking_model(), {.threads = 1, .on_progress = {}});
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

// The same from a Session's logits, one text after the other.
double from_logits(const Model& model, const std::string& before, const std::string& text) {
  const auto all = *model.tokenize(text);
  const size_t from = model.tokenize(before)->size();
  Session session(model);
  double sum = 0;
  const auto row = [&](int64_t position, const float* logits) {
    const auto next = static_cast<size_t>(position) + 1;
    if (next < from || next >= all.size()) return;
    const std::span<const float> all_logits(logits, static_cast<size_t>(model.info().vocab_size));
    sum += static_cast<double>(logits[static_cast<size_t>(all[next])]) - log_sum_exp(all_logits);
  };
  EXPECT_TRUE(session.each_logits(all, 0, row));
  return sum;
}

TEST(Loglikelihoods, AreThoseOfTheContinuationsTokens) {
  const Model model = load();
  std::vector<Continuation> asked;
  for (const char* text : {" no", " yes", " the quick brown fox", " a"}) {
    asked.push_back({.context = "Is it so? Answer:", .text = text});
  }
  asked.push_back({.context = "Another one", .text = " and its end"});
  const auto found = loglikelihoods(model, asked);
  ASSERT_TRUE(found) << found.error().message;
  for (size_t i = 0; i < asked.size(); ++i) {
    EXPECT_NEAR((*found)[i], from_logits(model, asked[i].context, asked[i].context + asked[i].text),
                1e-3);
  }
}

TEST(Loglikelihoods, GiveSpacesAtTheEndOfAContextToWhatFollows) {
  const Model model = load();
  const auto found = loglikelihoods(model, {{"A question: ", "yes"}, {"A question:", " yes"}});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)[0], (*found)[1]);
}

TEST(Loglikelihoods, DoNotDependOnWhatElseIsAsked) {
  const Model model = load();
  std::vector<Continuation> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back({.context = "Question " + std::to_string(i), .text = " fox"});
  }
  const auto together = loglikelihoods(model, many);
  ASSERT_TRUE(together);
  for (const size_t i : {0U, 42U, 99U}) {
    EXPECT_EQ((*loglikelihoods(model, {many[i]}))[0], (*together)[i]);
  }
}

TEST(Loglikelihoods, EndWhenTheyAreToldTo) {
  const Model model = load();
  const std::vector<Continuation> many(50, {.context = "x", .text = " y"});
  EXPECT_FALSE(loglikelihoods(model, many, [](size_t done) { return done < 5; }));
}

TEST(Loglikelihoods, SayWhatCannotBeAsked) {
  const auto found = loglikelihoods(load(), {{.context = "x", .text = ""}});
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("no tokens"), std::string::npos);
}

}  // namespace
}  // namespace fathom

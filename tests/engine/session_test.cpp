#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

#include "fathom/fathom.h"

namespace fathom {
namespace {

// A tiny random model without a tokenizer.
Model tiny(const std::string& name = "llama_gqa_tied", int threads = 2) {
  LoadOptions options;
  options.threads = threads;
  auto model = Model::load(FATHOM_TEST_DATA "/golden/models/" + name, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

std::vector<int32_t> prompt_of(int64_t length) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < length; ++i) tokens.push_back(static_cast<int32_t>(3 + (i * 7) % 80));
  return tokens;
}

GenerateOptions greedy(int64_t max_tokens) {
  GenerateOptions options;
  options.sampling.temperature = 0.0F;
  options.max_tokens = max_tokens;
  options.stop_at_eos = false;
  return options;
}

GenerateOptions drawn(uint64_t seed) {
  GenerateOptions options = greedy(40);
  options.sampling = {.temperature = 1.5F, .top_k = 0, .top_p = 1.0F, .min_p = 0.0F, .seed = seed};
  return options;
}

std::vector<int32_t> tokens_of(Result<Answer> answer) {
  EXPECT_TRUE(answer) << answer.error().message;
  return answer->tokens;
}

std::string error_of(const Result<Answer>& answer) {
  return answer ? "no error" : answer.error().message;
}

TEST(Session, GivesEqualTokensForEqualSeedsAndOthersForOtherSeeds) {
  const Model model = tiny();
  Session session(model);
  const auto first = tokens_of(session.continue_tokens(prompt_of(5), drawn(7)));
  EXPECT_EQ(first.size(), 40U);
  EXPECT_EQ(tokens_of(session.continue_tokens(prompt_of(5), drawn(7))), first);
  EXPECT_NE(tokens_of(session.continue_tokens(prompt_of(5), drawn(8))), first);
}

TEST(Session, ComputesOnlyWhatItsCacheLacks) {
  const Model model = tiny();
  Session session(model);
  auto prompt = prompt_of(20);
  const auto answer = session.continue_tokens(prompt, greedy(10));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->cached_tokens, 0);
  prompt.insert(prompt.end(), answer->tokens.begin(), answer->tokens.end());
  prompt.push_back(5);
  const auto next = session.continue_tokens(prompt, greedy(10));
  ASSERT_TRUE(next);
  // The last token of an answer has not been through the model.
  EXPECT_EQ(next->cached_tokens, 29);
  Session fresh(model);
  EXPECT_EQ(tokens_of(fresh.continue_tokens(prompt, greedy(10))), next->tokens);
}

TEST(Session, ForgetsWhatDiffersFromTheNewPrompt) {
  const Model model = tiny("deepseek_v3");
  Session session(model);
  auto prompt = prompt_of(40);
  tokens_of(session.continue_tokens(prompt, greedy(30)));
  prompt[35] = 60;
  const auto answer = session.continue_tokens(prompt, greedy(30));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->cached_tokens, 35);
  Session fresh(model);
  EXPECT_EQ(tokens_of(fresh.continue_tokens(prompt, greedy(30))), answer->tokens);
}

TEST(Session, StopsAtTheLimitAndSaysSo) {
  const Model model = tiny();
  Session session(model);
  const auto answer = session.continue_tokens(prompt_of(3), greedy(4));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->tokens.size(), 4U);
  EXPECT_EQ(answer->finish, FinishReason::kLength);
  const auto none = session.continue_tokens(prompt_of(3), greedy(0));
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->tokens.empty());
  EXPECT_EQ(none->finish, FinishReason::kLength);
}

TEST(Session, FillsItsContextAndNoMore) {
  const Model model = tiny();
  Session session(model, 16);
  const auto answer = session.continue_tokens(prompt_of(10), greedy(-1));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->tokens.size(), 6U);
  EXPECT_EQ(answer->finish, FinishReason::kLength);
}

TEST(Session, RefusesAPromptThatFillsTheContext) {
  const Model model = tiny();
  Session session(model, 16);
  EXPECT_NE(error_of(session.continue_tokens(prompt_of(16), greedy(1))).find("16 tokens"),
            std::string::npos);
}

TEST(Session, RefusesEmptyPromptsForeignTokensAndTextWithoutATokenizer) {
  const Model model = tiny();
  Session session(model);
  EXPECT_NE(error_of(session.continue_tokens({}, greedy(1))).find("empty"), std::string::npos);
  EXPECT_NE(error_of(session.continue_tokens({3, -1}, greedy(1))).find("-1"), std::string::npos);
  EXPECT_NE(error_of(session.continue_tokens({1 << 30}, greedy(1))).find("vocabulary"),
            std::string::npos);
  EXPECT_NE(error_of(session.complete("text", greedy(1))).find("tokenizer"), std::string::npos);
  EXPECT_NE(error_of(session.chat({{"user", "text"}}, greedy(1))).find("tokenizer"),
            std::string::npos);
}

TEST(Session, RefusesSamplingOptionsThatMakeNoSense) {
  const Model model = tiny();
  Session session(model);
  GenerateOptions options = greedy(1);
  options.sampling.temperature = -1.0F;
  EXPECT_NE(error_of(session.continue_tokens(prompt_of(3), options)), "no error");
}

TEST(Session, EndsWhenTheCallerWantsNoMore) {
  const Model model = tiny();
  Session session(model);
  int calls = 0;
  const auto answer =
      session.continue_tokens(prompt_of(3), greedy(100), [&](const Piece&) { return ++calls < 5; });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->finish, FinishReason::kCancelled);
  EXPECT_EQ(answer->tokens.size(), 5U);
  EXPECT_TRUE(session.continue_tokens(prompt_of(3), greedy(3)));
}

TEST(Session, TakesTurnsWithOthersOnOtherThreads) {
  const Model model = tiny("deepseek_v3");
  Session alone(model);
  const auto expected = tokens_of(alone.continue_tokens(prompt_of(9), greedy(30)));
  std::vector<std::vector<int32_t>> got(4);
  {
    std::vector<std::jthread> threads;
    for (auto& tokens : got) {
      threads.emplace_back([&tokens, &model] {
        Session session(model);
        tokens = tokens_of(session.continue_tokens(prompt_of(9), greedy(30)));
      });
    }
  }
  for (const auto& tokens : got) EXPECT_EQ(tokens, expected);
}

TEST(Session, GivesTheSameLogitsForAllPositionsAsForTheLast) {
  const Model model = tiny();
  Session session(model);
  const auto all = session.logits(prompt_of(12), true);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 12U);
  const auto last = session.logits(prompt_of(7));
  ASSERT_TRUE(last);
  ASSERT_EQ(last->size(), 1U);
  EXPECT_EQ(static_cast<int64_t>(last->front().size()), model.info().vocab_size);
  for (size_t i = 0; i < last->front().size(); ++i) {
    EXPECT_NEAR(last->front()[i], (*all)[6][i], 1e-3);
  }
}

TEST(Model, DoesNotDependOnTheNumberOfThreads) {
  const Model one = tiny("deepseek_v3", 1);
  const Model three = tiny("deepseek_v3", 3);
  Session a(one);
  Session b(three);
  EXPECT_EQ(*a.logits(prompt_of(50), true), *b.logits(prompt_of(50), true));
}

TEST(Model, SaysWhatItLoaded) {
  const ModelInfo info = tiny("deepseek_v3").info();
  EXPECT_EQ(info.tier, "V1");
  EXPECT_LT(info.active_parameters, info.parameters);
  EXPECT_FALSE(info.has_tokenizer);
  EXPECT_GT(info.weight_bytes, 0);
  // The latent and the rotary key, nothing else: 2 bytes an element in each layer.
  EXPECT_GT(info.cache_bytes_per_token, 0);
}

TEST(Model, FailsClearlyWhenThereIsNothingToLoad) {
  const auto model = Model::load("/nowhere/at/all");
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
}  // namespace fathom

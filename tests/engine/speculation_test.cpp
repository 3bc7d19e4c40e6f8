// Sessions with speculation against the same sessions without.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fathom/fathom.h"

namespace fathom {
namespace {

using Method = Speculation::Method;

Model tiny(const std::string& name, KernelSet kernels = KernelSet::kAuto, bool mtp = false) {
  LoadOptions options;
  options.mtp = mtp;
  options.threads = 2;
  options.kernels = kernels;
  auto model = Model::load(FATHOM_TEST_DATA "/golden/models/" + name, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

std::vector<int32_t> prompt() {
  return {5, 17, 42, 8, 9, 33, 5, 17, 42, 8, 60, 2};
}

GenerateOptions options_of(const SamplingOptions& sampling, int64_t tokens = 120) {
  return {.sampling = sampling, .max_tokens = tokens, .stop = {}, .stop_at_eos = false};
}

const SamplingOptions kGreedy = {.temperature = 0.0F, .seed = {}};
const SamplingOptions kGreedyWithPenalties = {.temperature = 0.0F,
                                              .repeat_penalty = 1.1F,
                                              .presence_penalty = 0.2F,
                                              .frequency_penalty = 0.1F,
                                              .penalty_window = 20,
                                              .seed = {},
                                              .logit_bias = {{7, 0.5F}}};
const SamplingOptions kDrawn = {.temperature = 0.6F, .top_k = 20, .seed = 11};

Answer answer(const Model& model, const Speculation& speculation, const GenerateOptions& options) {
  Session session(model);
  const auto set = session.speculate(speculation);
  EXPECT_TRUE(set) << set.error().message;
  auto result = session.continue_tokens(prompt(), options);
  EXPECT_TRUE(result) << result.error().message;
  return *std::move(result);
}

class Speculating : public testing::TestWithParam<const char*> {};

TEST_P(Speculating, ByLookupSaysTheSameTokens) {
  for (const KernelSet kernels : {KernelSet::kAuto, KernelSet::kReference}) {
    const Model model = tiny(GetParam(), kernels);
    for (const SamplingOptions& sampling : {kGreedy, kGreedyWithPenalties, kDrawn}) {
      const Answer plain = answer(model, {}, options_of(sampling));
      const Answer quick = answer(model, {.method = Method::kLookup}, options_of(sampling));
      EXPECT_EQ(quick.tokens, plain.tokens);
      EXPECT_EQ(quick.finish, plain.finish);
      EXPECT_EQ(plain.drafted_tokens, 0);
    }
  }
}

TEST_P(Speculating, ByADraftModelSaysTheSameTokensWhenGreedy) {
  const Model model = tiny(GetParam());
  for (const char* other : {"qwen3", "deepseek_v2_lite"}) {
    const Speculation speculation = {.method = Method::kDraftModel, .draft = tiny(other)};
    for (const SamplingOptions& sampling : {kGreedy, kGreedyWithPenalties}) {
      const Answer plain = answer(model, {}, options_of(sampling));
      const Answer quick = answer(model, speculation, options_of(sampling));
      EXPECT_EQ(quick.tokens, plain.tokens);
      EXPECT_GT(quick.drafted_tokens, 0);
      EXPECT_LE(quick.accepted_tokens, quick.drafted_tokens);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Speculating,
                         testing::Values("llama_gqa_tied", "deepseek_moe", "deepseek_v3"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Speculation, ByTheModelsOwnMtpLayerSaysTheSameTokensWhenGreedy) {
  for (const char* path : {"deepseek_v3", "deepseek_v3/mla_mtp.gguf"}) {
    const Model model = tiny(path, KernelSet::kAuto, true);
    for (const int64_t tokens : {1, 2, 5}) {
      for (const SamplingOptions& sampling : {kGreedy, kGreedyWithPenalties}) {
        const Answer plain = answer(model, {}, options_of(sampling, 300));
        const Answer quick = answer(model, {.method = Method::kMtp, .draft_tokens = tokens},
                                    options_of(sampling, 300));
        EXPECT_EQ(quick.tokens, plain.tokens);
        EXPECT_GT(quick.drafted_tokens, 0);
      }
    }
  }
}

TEST(Speculation, ByMtpGoesOnThroughTurnsThatChangeTheBeginning) {
  const Model model = tiny("deepseek_v3", KernelSet::kAuto, true);
  Session plain(model);
  Session quick(model);
  ASSERT_TRUE(quick.speculate({.method = Method::kMtp}));
  auto tokens = prompt();
  for (int turn = 0; turn < 5; ++turn) {
    const auto want = plain.continue_tokens(tokens, options_of(kGreedy, 100));
    const auto got = quick.continue_tokens(tokens, options_of(kGreedy, 100));
    ASSERT_TRUE(want && got);
    EXPECT_EQ(got->tokens, want->tokens) << "turn " << turn;
    if (turn == 1) tokens[8] = 50;
    // Other tokens in the session's cache, which the layer does not see.
    if (turn == 2) {
      ASSERT_TRUE(quick.logits({4, 5, 6}));
    }
    tokens.insert(tokens.end(), want->tokens.begin(), want->tokens.end());
    tokens.push_back(3 + turn);
  }
}

TEST(Speculation, AcceptsAllThatAnEqualModelDrafts) {
  const Model model = tiny("llama_gqa_tied");
  const Speculation speculation = {.method = Method::kDraftModel, .draft = tiny("llama_gqa_tied")};
  const Answer greedy = answer(model, speculation, options_of(kGreedy));
  EXPECT_GT(greedy.drafted_tokens, 0);
  EXPECT_EQ(greedy.accepted_tokens, greedy.drafted_tokens);
  const Answer drawn = answer(model, speculation, options_of(kDrawn));
  EXPECT_GT(drawn.drafted_tokens, 0);
  EXPECT_EQ(drawn.accepted_tokens, drawn.drafted_tokens);
  EXPECT_EQ(drawn.tokens.size(), 120U);
}

TEST(Speculation, LeavesTheCacheAsTheNextTurnNeedsIt) {
  const Model model = tiny("deepseek_v3");
  Session plain(model);
  Session quick(model);
  ASSERT_TRUE(quick.speculate({.method = Method::kDraftModel, .draft = tiny("qwen3")}));
  auto tokens = prompt();
  for (int turn = 0; turn < 4; ++turn) {
    const auto want = plain.continue_tokens(tokens, options_of(kGreedy, 30));
    const auto got = quick.continue_tokens(tokens, options_of(kGreedy, 30));
    ASSERT_TRUE(want && got);
    EXPECT_EQ(got->tokens, want->tokens) << "turn " << turn;
    if (turn == 1) tokens[8] = 50;  // an earlier part changes
    tokens.insert(tokens.end(), want->tokens.begin(), want->tokens.end());
    tokens.push_back(3 + turn);
  }
}

TEST(Speculation, SaysNoMoreThanTheLimitAndTheContextAllow) {
  const Model model = tiny("llama_gqa_tied");
  const Speculation speculation = {.method = Method::kDraftModel, .draft = tiny("llama_gqa_tied")};
  for (const int64_t limit : {1, 2, 3, 7}) {
    EXPECT_EQ(answer(model, speculation, options_of(kGreedy, limit)).tokens.size(),
              static_cast<size_t>(limit));
  }
  Session session(model, 40);
  ASSERT_TRUE(session.speculate(speculation));
  const auto full = session.continue_tokens(prompt(), options_of(kGreedy, -1));
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->tokens.size(), 28U);
  EXPECT_EQ(full->finish, FinishReason::kLength);
}

TEST(Speculation, EndsInTheMiddleOfADraftWhereThePlainAnswerEnds) {
  const Model model = tiny("llama_gqa_tied");
  const Speculation speculation = {.method = Method::kDraftModel, .draft = tiny("llama_gqa_tied")};
  for (int calls = 1; calls < 9; ++calls) {
    Session session(model);
    ASSERT_TRUE(session.speculate(speculation));
    int seen = 0;
    const auto cut = session.continue_tokens(prompt(), options_of(kGreedy),
                                             [&](const Piece&) { return ++seen < calls; });
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->finish, FinishReason::kCancelled);
    EXPECT_EQ(cut->tokens.size(), static_cast<size_t>(calls));
  }
}

TEST(Speculation, CanBeTurnedOffAgain) {
  const Model model = tiny("llama_gqa_tied");
  Session session(model);
  ASSERT_TRUE(session.speculate({.method = Method::kLookup}));
  ASSERT_TRUE(session.speculate({}));
  const auto result = session.continue_tokens(prompt(), options_of(kGreedy));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->drafted_tokens, 0);
}

std::string refusal(const Speculation& speculation) {
  const Model model = tiny("llama_gqa_tied");
  Session session(model);
  const auto set = session.speculate(speculation);
  if (set) return "accepted";
  EXPECT_EQ(set.error().kind, ErrorKind::kUsage);
  return set.error().message;
}

TEST(Speculation, RefusesNumbersThatMakeNoSense) {
  for (const int64_t tokens : {-1, 17, 1 << 20}) {
    const std::string message = refusal({.method = Method::kLookup, .draft_tokens = tokens});
    EXPECT_NE(message.find(std::to_string(tokens)), std::string::npos) << message;
  }
}

TEST(Speculation, RefusesMtpWhereTheLayerWasNotLoaded) {
  EXPECT_NE(refusal({.method = Method::kMtp}).find("multi-token prediction"), std::string::npos);
}

TEST(Speculation, RefusesADraftModelThatIsMissingOrTheModelItself) {
  EXPECT_NE(refusal({.method = Method::kDraftModel}).find("needs one"), std::string::npos);
  const Model model = tiny("llama_gqa_tied");
  Session session(model);
  const auto set = session.speculate({.method = Method::kDraftModel, .draft = model});
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("itself"), std::string::npos);
}

}  // namespace
}  // namespace fathom

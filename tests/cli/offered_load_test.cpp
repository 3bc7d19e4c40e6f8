#include "cli/offered_load.h"

#include <gtest/gtest.h>

#include "cli/model_options.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

Model load(const std::string& name) {
  cli::ModelOptions options;
  options.model = name;
  options.threads = 1;
  options.no_packed_cache = true;
  auto model = cli::load_model(options);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return *std::move(model);
}

cli::LoadLengths lengths(const char* prompt, const char* output) {
  return {.prompt = *loadtest::Lengths::parse(prompt, "prompt"),
          .output = *loadtest::Lengths::parse(output, "output")};
}

class Steps final : public StepObserver {
 public:
  // Both kinds: the last row of a prompt that came in by pieces may be one that decodes.
  void on_step(const ServedStep& step) override { rows += step.prompt_rows + step.decode_rows; }
  int64_t rows = 0;
};

TEST(OfferedLoad, ComesByChanceAtItsRate) {
  const Model model = load(golden_model("llama_mha"));
  const auto target = cli::start_load_target(model, {});
  ASSERT_TRUE(target.has_value()) << target.error().message;
  const auto drawn = (*target)->draw(lengths("uniform:2-8", "4"), 50, 2000, 1);
  ASSERT_TRUE(drawn.has_value());
  const auto& requests = drawn->requests;
  ASSERT_EQ(requests.size(), 2000U);
  EXPECT_EQ(requests.front().at, 0);
  EXPECT_NEAR(requests.back().at, 2000 / 50.0, 4);
  for (size_t i = 1; i < requests.size(); ++i) EXPECT_GE(requests[i].at, requests[i - 1].at);
  const auto same = (*target)->draw(lengths("uniform:2-8", "4"), 50, 2000, 1);
  const auto other = (*target)->draw(lengths("uniform:2-8", "4"), 50, 2000, 2);
  EXPECT_EQ(same->requests[7].at, requests[7].at);
  EXPECT_NE(other->requests[7].at, requests[7].at);
  const auto together = (*target)->draw(lengths("3", "4"), 0, 3, 1);
  EXPECT_EQ(together->requests[2].at, 0);
}

TEST(OfferedLoad, IsPutOnTheEngineOfAModelWithoutATokenizer) {
  const Model model = load(golden_model("llama_mha"));
  EXPECT_FALSE(cli::is_served(model));
  Steps steps;
  ServingOptions options;
  options.observer = &steps;
  options.prefix_cache = false;  // with so few tokens, prompts begin alike
  auto target = cli::start_load_target(model, options);
  ASSERT_TRUE(target.has_value()) << target.error().message;
  const auto drawn = (*target)->draw(lengths("5", "6"), 500, 8, 3);
  ASSERT_TRUE(drawn.has_value());
  EXPECT_TRUE(drawn->prompt_words.empty());
  const auto seen = (*target)->put(*drawn);
  ASSERT_TRUE(seen.has_value()) << seen.error().message;
  EXPECT_EQ(seen->first_token.count, 8);
  EXPECT_EQ(seen->inter_token.count, 8);
  EXPECT_GT(seen->first_token.p50, 0);
  EXPECT_GT(seen->inter_token.p90, 0);
  target->reset();
  EXPECT_EQ(steps.rows, 8 * (5 + 6 - 1));  // the last token of an answer is not computed
}

TEST(OfferedLoad, IsPutOnAServerWithPromptsCountedByTheTokenizer) {
  const Model model = load(talking_model());
  EXPECT_TRUE(cli::is_served(model));
  Steps steps;
  ServingOptions options;
  options.observer = &steps;
  options.prefix_cache = false;
  auto target = cli::start_load_target(model, options);
  ASSERT_TRUE(target.has_value()) << target.error().message;
  const auto drawn = (*target)->draw(lengths("3", "6"), 500, 4, 3);
  ASSERT_TRUE(drawn.has_value());
  int64_t tokens = 0;
  for (const plan::PastRequest& request : drawn->requests) tokens += request.prompt_tokens;
  EXPECT_GT(tokens, 4 * 3 * 2);  // a token for each letter
  const auto seen = (*target)->put(*drawn);
  ASSERT_TRUE(seen.has_value()) << seen.error().message;
  EXPECT_EQ(seen->first_token.count, 4);
  target->reset();
  EXPECT_EQ(steps.rows, tokens + 4 * (6 - 1));
}

TEST(OfferedLoad, FailsWhereARequestIsNotAnswered) {
  for (const std::string& name : {golden_model("llama_mha"), talking_model()}) {
    const Model model = load(name);
    ServingOptions options;
    options.context = 32;
    const auto target = cli::start_load_target(model, options);
    ASSERT_TRUE(target.has_value()) << target.error().message;
    const auto drawn = (*target)->draw(lengths("64", "2"), 0, 2, 3);
    ASSERT_TRUE(drawn.has_value());
    EXPECT_FALSE((*target)->put(*drawn).has_value()) << name;
  }
}

}  // namespace
}  // namespace fathom::test

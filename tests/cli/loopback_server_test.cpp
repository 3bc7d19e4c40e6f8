#include "cli/loopback_server.h"

#include <gtest/gtest.h>

#include "cli/model_options.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

cli::ModelOptions talking() {
  cli::ModelOptions options;
  options.model = talking_model();
  options.threads = 1;
  options.no_packed_cache = true;
  return options;
}

Result<std::unique_ptr<cli::LoopbackServer>> start(const cli::ModelOptions& options,
                                                   const ServingOptions& engine) {
  FATHOM_TRY(const Model model, cli::load_model(options));
  return cli::LoopbackServer::start(model, engine);
}

loadtest::Workload words(const char* prompt, const char* answer) {
  loadtest::WorkloadOptions options;
  options.prompt_words = *loadtest::Lengths::parse(prompt, "prompt");
  options.output_tokens = *loadtest::Lengths::parse(answer, "answer");
  return loadtest::Workload(options);
}

TEST(LoopbackServer, AnswersWithExactlyTheTokensThatTheLoadSays) {
  const auto served = start(talking(), {});
  ASSERT_TRUE(served.has_value()) << served.error().message;
  loadtest::RunOptions run;
  run.sessions = 2;
  run.requests = 6;
  const auto summary = (*served)->put(run, words("3", "7"));
  ASSERT_TRUE(summary.has_value()) << summary.error().message;
  EXPECT_EQ(summary->answered, 6);
  EXPECT_EQ(summary->output_tokens, 6 * 7);
  EXPECT_GT(summary->first_token.p50, 0);
  EXPECT_GT(summary->inter_token.p90, 0);
}

TEST(MeanPromptTokens, AreThoseOfTheModelsTokenizer) {
  const auto model = cli::load_model(talking());
  ASSERT_TRUE(model.has_value()) << model.error().message;
  const auto few = cli::mean_prompt_tokens(*model, words("3", "7"));
  const auto many = cli::mean_prompt_tokens(*model, words("30", "7"));
  ASSERT_TRUE(few.has_value() && many.has_value());
  // The tiny model has a token for each letter.
  EXPECT_GT(*few, 3 * 2);
  EXPECT_NEAR(*many / *few, 10, 2);
}

TEST(LoopbackServer, FailsWhereNothingIsAnswered) {
  ServingOptions engine;
  engine.context = 32;
  const auto served = start(talking(), engine);
  ASSERT_TRUE(served.has_value()) << served.error().message;
  loadtest::RunOptions run;
  run.arrivals = loadtest::Arrivals::kPoisson;
  run.rate = 100;
  run.requests = 2;
  const auto summary = (*served)->put(run, words("100", "4"));
  ASSERT_FALSE(summary.has_value());
  EXPECT_EQ(summary.error().message, "The server answered no request of the load test.");
}

TEST(LoopbackServer, DoesNotStartWithoutAModelThatTalks) {
  cli::ModelOptions options = talking();
  options.model = "/nowhere/model.gguf";
  const auto missing = start(options, {});
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().message.find("/nowhere/model.gguf"), std::string::npos)
      << missing.error().message;
  ServingOptions engine;
  engine.max_running = -1;
  EXPECT_FALSE(start(talking(), engine).has_value());
}

}  // namespace
}  // namespace fathom::test

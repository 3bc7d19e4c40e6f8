#include "cli/serve_costs.h"

#include <gtest/gtest.h>

#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

cli::ModelOptions model(const std::string& name) {
  cli::ModelOptions options;
  options.model = name;
  options.no_packed_cache = true;
  return options;
}

TEST(ServeCosts, AreWhatAServerTakesBesideItsModel) {
  const auto costs = cli::measure_serve_costs(model(talking_model()));
  ASSERT_TRUE(costs.has_value()) << costs.error().message;
  EXPECT_TRUE(costs->measured);
  // How much is the machine's business, but no part is negative, and none takes seconds.
  for (const double seconds :
       {costs->step_seconds, costs->logit_seconds, costs->token_seconds, costs->request_seconds}) {
    EXPECT_GE(seconds, 0);
    EXPECT_LT(seconds, 1);
  }
  EXPECT_GT(costs->step_seconds + costs->logit_seconds, 0);
  EXPECT_GT(costs->program_bytes, 1e6);
  EXPECT_LT(costs->program_bytes, 4e9);
  EXPECT_NE(costs->text().find("beside the model: "), std::string::npos);

  plan::StepCosts into;
  costs->apply(into);
  EXPECT_EQ(into.serve_step_seconds, costs->step_seconds);
  EXPECT_EQ(into.serve_logit_seconds, costs->logit_seconds);
  EXPECT_EQ(into.serve_token_seconds, costs->token_seconds);
  EXPECT_EQ(into.serve_request_seconds, costs->request_seconds);
  EXPECT_EQ(into.program_bytes, costs->program_bytes);
}

TEST(ServeCosts, ThatWereNotMeasuredChangeNothing) {
  const auto costs = cli::measure_serve_costs(model("/nowhere/model.gguf"));
  ASSERT_TRUE(costs.has_value());
  EXPECT_FALSE(costs->measured);
  EXPECT_NE(costs->text().find("fathom pull"), std::string::npos);
  plan::StepCosts into;
  into.serve_step_seconds = 0.25;
  into.program_bytes = 7;
  costs->apply(into);
  EXPECT_EQ(into.serve_step_seconds, 0.25);
  EXPECT_EQ(into.program_bytes, 7);
}

TEST(ServeCosts, OfAModelWithoutATokenizerAreAnError) {
  EXPECT_FALSE(cli::measure_serve_costs(model(golden_model("llama_mha"))).has_value());
}

TEST(ResidentBytes, GrowWithWhatIsUsed) {
  const int64_t before = cli::resident_bytes();
  EXPECT_GT(before, 1 << 20);
  const std::string used(64 << 20, 'x');
  EXPECT_GE(cli::resident_bytes() - before, (60 << 20) + static_cast<int64_t>(used[5] - 'x'));
}

}  // namespace
}  // namespace fathom::test

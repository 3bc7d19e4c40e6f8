#include "plan/commands.h"

#include <gtest/gtest.h>

namespace fathom::plan {
namespace {

ModelFacts model(std::string_view name, std::string_view precision) {
  auto facts = catalogue_facts(name, precision);
  EXPECT_TRUE(facts) << (facts ? "" : facts.error().message);
  return facts ? *std::move(facts) : ModelFacts();
}

std::string serve(ModelFacts facts) {
  Deployment deployment{.model = std::move(facts), .hardware = {}};
  deployment.hardware.fathom_runs_here = true;
  return serve_command(deployment, {.kv_tokens = 1024});
}

TEST(Commands, FetchWhatIsPublishedAsItIs) {
  const ModelFacts lite = model("r1-distill-qwen-1.5b", "bf16");
  EXPECT_EQ(prepare_commands(lite),
            (std::vector<std::string>{"fathom pull deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}));
  EXPECT_TRUE(serve(lite).starts_with(
      "fathom serve -m deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B --context 4096"));
  EXPECT_EQ(prepare_commands(model("v3", "fp8")),
            (std::vector<std::string>{"fathom pull deepseek-ai/DeepSeek-V3"}));
}

TEST(Commands, MakeThePrecisionThatIsNotPublished) {
  const ModelFacts lite = model("v2-lite", "q4_0");
  EXPECT_EQ(prepare_commands(lite),
            (std::vector<std::string>{
                "fathom pull deepseek-ai/DeepSeek-V2-Lite-Chat",
                "fathom quantize -m deepseek-ai/DeepSeek-V2-Lite-Chat -o v2-lite-q4_0.gguf "
                "--format gguf --bits 4 --embedding q4_0 --head q4_0"}));
  EXPECT_TRUE(serve(lite).starts_with("fathom serve -m v2-lite-q4_0.gguf "));
  EXPECT_EQ(prepare_commands(model("smollm2-135m", "q8_0")).back(),
            "fathom quantize -m HuggingFaceTB/SmolLM2-135M-Instruct -o smollm2-135m-q8_0.gguf "
            "--format gguf --bits 8 --embedding q8_0");
  const ModelFacts v3 = model("v3", "bf16");
  EXPECT_EQ(prepare_commands(v3).back(),
            "fathom quantize -m deepseek-ai/DeepSeek-V3 -o v3-bf16 --method none --type bf16");
  EXPECT_TRUE(serve(v3).starts_with("fathom serve -m v3-bf16 "));
}

TEST(Commands, AreNoneForWhatCannotBeRun) {
  const ModelFacts images = model("janus-pro-1b", "q4_0");
  EXPECT_TRUE(prepare_commands(images).empty());
  EXPECT_EQ(serve(images), "");
  ModelFacts configuration = model("v2-lite", "q4_0");
  configuration.repository.clear();
  EXPECT_TRUE(prepare_commands(configuration).empty());
  EXPECT_EQ(serve(configuration), "");
}

TEST(Commands, AreNoneForAModelDividedAmongDevices) {
  Deployment deployment{.model = model("v3", "fp8"), .hardware = {}};
  deployment.hardware.fathom_runs_here = true;
  EXPECT_NE(serve_command(deployment, {}), "");
  for (int* count : {&deployment.tp, &deployment.pp, &deployment.ep}) {
    *count = 2;
    EXPECT_EQ(serve_command(deployment, {}), "");
    EXPECT_EQ(no_command_reason(deployment), "Fathom does not divide a model among devices");
    *count = 1;
  }
  deployment.hardware.fathom_runs_here = false;
  EXPECT_EQ(no_command_reason(deployment), "Fathom does not run on this hardware");
  deployment.ep = 16;
  EXPECT_EQ(no_command_reason(deployment),
            "Fathom does not run on this hardware, nor divides a model among devices");
}

TEST(Commands, QuotePathsForTheShell) {
  ModelFacts own = model("v2-lite", "q4_0");
  own.on_disk = true;
  own.name = "my models/it's.gguf";
  EXPECT_TRUE(prepare_commands(own).empty());
  EXPECT_TRUE(serve(own).starts_with("fathom serve -m 'my models/it'\\''s.gguf' --context"))
      << serve(own);
}

}  // namespace
}  // namespace fathom::plan

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

json inspect(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"inspect", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Finished finished = run(arguments);
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  return json::parse(finished.out);
}

TEST(Inspect, SaysWhatADenseModelIs) {
  const json facts = inspect({golden_model("llama_gqa_tied")});
  EXPECT_EQ(facts.at("architecture"), "LlamaForCausalLM");
  EXPECT_EQ(facts.at("family"), "llama");
  EXPECT_EQ(facts.at("tier"), "Nano");
  EXPECT_EQ(facts.at("context"), 512);
  EXPECT_EQ(facts.at("vocab_size"), 96);
  // From the config: embedding 96 x 64 (tied); two layers of q and o 64 x 64, k and v 32 x 64,
  // gate, up and down 80 x 64, two norms; the last norm.
  const int64_t parameters = 96 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 80 * 64 + 2 * 64) + 64;
  EXPECT_EQ(facts.at("parameters"), parameters);
  EXPECT_EQ(facts.at("active_parameters"), parameters);
  // K and V of 2 heads of 16 in F16, two layers.
  EXPECT_EQ(facts.at("cache_bytes_per_token"), 2 * 2 * 2 * 16 * 2);
  EXPECT_TRUE(facts.at("tokenizer").is_null());
  EXPECT_TRUE(facts.at("chat_template").is_null());
}

TEST(Inspect, SaysWhatALatentMixtureOfExpertsIs) {
  const json facts = inspect({golden_model("deepseek_v3")});
  EXPECT_EQ(facts.at("family"), "deepseek_v3");
  EXPECT_EQ(facts.at("tier"), "V1");
  EXPECT_LT(facts.at("active_parameters"), facts.at("parameters"));
  // The latent of 24 and the rotary key of 16 in F16, two layers.
  EXPECT_EQ(facts.at("cache_bytes_per_token"), 2 * (24 + 16) * 2);
  EXPECT_EQ(facts.at("experts").at("routed"), 16);
  EXPECT_EQ(facts.at("experts").at("per_token"), 4);
  EXPECT_EQ(facts.at("mtp_layers"), 1);
}

TEST(Inspect, MemoryFollowsTheKindOfCache) {
  const json int8 =
      inspect({golden_model("llama_gqa_tied"), "--context", "100", "--kv-cache", "int8"});
  EXPECT_EQ(int8.at("kv_cache"), "int8");
  // K and V of 2 heads of 16 bytes and a scale, two layers.
  EXPECT_EQ(int8.at("cache_bytes_per_token"), 2 * 2 * 2 * (16 + 4));
  EXPECT_EQ(int8.at("memory").at("cache_bytes"), 100 * 2 * 2 * 2 * (16 + 4));
  // The latent and the rotary key have a scale each.
  const json latent = inspect({golden_model("deepseek_v3"), "--kv-cache", "int8"});
  EXPECT_EQ(latent.at("cache_bytes_per_token"), 2 * (24 + 4 + 16 + 4));
}

TEST(Inspect, MemoryFollowsTheContext) {
  const std::string model = golden_model("llama_gqa_tied");
  const json own = inspect({model}).at("memory");
  const json asked = inspect({model, "--context", "100"}).at("memory");
  EXPECT_EQ(own.at("context"), 512);
  EXPECT_EQ(own.at("cache_bytes"), 512 * 256);
  EXPECT_EQ(asked.at("context"), 100);
  EXPECT_EQ(asked.at("cache_bytes"), 100 * 256);
  EXPECT_EQ(asked.at("total_bytes"), asked.at("weight_bytes").get<int64_t>() +
                                         asked.at("cache_bytes").get<int64_t>() +
                                         asked.at("workspace_bytes").get<int64_t>());
}

TEST(Inspect, TensorsListsEachWithTypeShapeAndSize) {
  const std::string model = golden_model("llama_gqa_tied") + "/f16.gguf";
  EXPECT_FALSE(inspect({model}).contains("tensors"));
  const json facts = inspect({model, "--tensors"});
  EXPECT_EQ(facts.at("tensors").size(), facts.at("tensor_count"));
  int64_t bytes = 0;
  bool found = false;
  for (const auto& tensor : facts.at("tensors")) {
    bytes += tensor.at("bytes").get<int64_t>();
    if (tensor.at("name") != "model.layers.1.mlp.down_proj.weight") continue;
    found = true;
    EXPECT_EQ(tensor.at("dtype"), "F16");
    EXPECT_EQ(tensor.at("shape"), json({64, 80}));
    EXPECT_EQ(tensor.at("bytes"), 64 * 80 * 2);
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(facts.at("tensor_bytes"), bytes);
  const Finished text = run({"inspect", model, "--tensors"});
  EXPECT_NE(text.out.find("model.layers.1.mlp.down_proj.weight"), std::string::npos);
  EXPECT_EQ(run({"inspect", model}).out.find("down_proj"), std::string::npos);
}

TEST(Inspect, TextNamesEveryFact) {
  const Finished finished = run({"inspect", talking_model()});
  EXPECT_EQ(finished.code, 0) << finished.err;
  for (const char* label :
       {"architecture", "tier", "parameters", "active", "layers", "attention", "vocabulary",
        "context", "quantisation", "tokenizer", "chat template", "bytes for a token", "memory"}) {
    EXPECT_NE(finished.out.find(label), std::string::npos) << label << "\n" << finished.out;
  }
}

TEST(Inspect, TheTemplateAndTheTokenizerAreNamed) {
  const json facts = inspect({talking_model()});
  EXPECT_EQ(facts.at("tokenizer"), "tokenizer.json");
  EXPECT_EQ(facts.at("chat_template"),
            read_file(std::filesystem::path(talking_model()) / "chat_template.jinja"));
}

}  // namespace
}  // namespace fathom::test

#include "plan/model_facts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "checkpoint/random_checkpoint.h"
#include "kernels/kernels.h"
#include "models/model.h"

namespace fathom::plan {
namespace {

// A checkpoint of Q4_0 matrices, as if they were Q4_1.
class WithMinima final : public Checkpoint {
 public:
  explicit WithMinima(std::unique_ptr<Checkpoint> plain)
      : plain_(std::move(plain)), tensors_(plain_->tensors()) {
    for (Tensor& tensor : tensors_) {
      if (tensor.dtype == DType::kQ4_0) tensor.dtype = DType::kQ4_1;
    }
  }
  const ModelConfig& config() const override { return plain_->config(); }
  const TextSource& text() const override { return plain_->text(); }
  const GenerationDefaults& generation() const override { return plain_->generation(); }
  const std::filesystem::path& path() const override { return plain_->path(); }
  std::string_view format() const override { return plain_->format(); }
  const std::vector<Tensor>& tensors() const override { return tensors_; }

 private:
  std::unique_ptr<Checkpoint> plain_;
  std::vector<Tensor> tensors_;
};

// As the Hugging Face hub counts the published safetensors; of V3 the 671 billion without the layer
// for multi-token prediction.
TEST(ModelCatalogue, CountsTheParametersThatWerePublished) {
  const std::map<std::string, int64_t> published{{"smollm2-135m", 134'515'008},
                                                 {"r1-distill-qwen-1.5b", 1'777'088'000},
                                                 {"r1-distill-qwen-7b", 7'615'616'512},
                                                 {"r1-distill-qwen-14b", 14'770'033'664},
                                                 {"r1-distill-qwen-32b", 32'763'876'352},
                                                 {"r1-distill-llama-8b", 8'030'261'248},
                                                 {"r1-distill-llama-70b", 70'553'706'496},
                                                 {"r1-0528-qwen3-8b", 8'190'735'360},
                                                 {"coder-6.7b", 6'740'512'768},
                                                 {"v2-lite", 15'706'484'224},
                                                 {"v2", 235'741'434'880},
                                                 {"v3", 671'026'419'200}};
  for (const auto& [name, parameters] : published) {
    const auto facts = catalogue_facts(name, "bf16");
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    EXPECT_EQ(facts->parameters, parameters) << name;
  }
}

// With their encoders of images, as DeepSeek-VL2's page says them.
TEST(ModelCatalogue, CountsTheParametersOfModelsWithImages) {
  const std::map<std::string, double> published{
      {"vl2-tiny", 3.37e9}, {"vl2-small", 16.1e9}, {"vl2", 27.5e9}};
  for (const auto& [name, parameters] : published) {
    const auto facts = catalogue_facts(name, "bf16");
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    EXPECT_NEAR(static_cast<double>(facts->parameters), parameters, 0.005 * parameters) << name;
  }
}

TEST(ModelCatalogue, EveryRowHasASourceADateALicenceAndATier) {
  for (const std::string& name : catalogue_models()) {
    for (const std::string& precision : precisions_of(name)) {
      const auto facts = catalogue_facts(name, precision);
      ASSERT_TRUE(facts.has_value()) << facts.error().message;
      EXPECT_NE(facts->source.find("config.json"), std::string::npos);
      EXPECT_EQ(facts->released.size(), 7U);
      EXPECT_FALSE(facts->licence.empty());
      EXPECT_TRUE(facts->tier == "V1" || facts->tier == "Lite" || facts->tier == "Pro" ||
                  facts->tier == "Nano");
      EXPECT_GT(facts->weight_bytes, 0);
    }
  }
}

// As inference/configs of github.com/deepseek-ai/DeepSeek-V3 (commit 9b4e978) have them.
TEST(ModelCatalogue, HasTheDimensionsThatTheMakersProgramReads) {
  struct Dimensions {
    const char* name;
    const char* file;
    int64_t vocab, dim, inter_dim, moe_inter_dim, layers, dense_layers, heads;
    int64_t experts, shared_experts, active_experts, q_lora_rank;
  };
  const std::vector<Dimensions> published{
      {"v2-lite", "config_16B.json", 102400, 2048, 10944, 1408, 27, 1, 16, 64, 2, 6, 0},
      {"v2", "config_236B.json", 102400, 5120, 12288, 1536, 60, 1, 128, 160, 2, 6, 1536},
      {"v3", "config_671B.json", 129280, 7168, 18432, 2048, 61, 3, 128, 256, 1, 8, 1536},
      {"r1", "config_671B.json", 129280, 7168, 18432, 2048, 61, 3, 128, 256, 1, 8, 1536},
      {"v3.1", "config_v3.1.json", 129280, 7168, 18432, 2048, 61, 3, 128, 256, 1, 8, 1536}};
  for (const Dimensions& one : published) {
    const auto facts = catalogue_facts(one.name, "bf16");
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    const ModelConfig& config = facts->config;
    EXPECT_EQ(config.vocab_size, one.vocab) << one.name;
    EXPECT_EQ(config.hidden_size, one.dim) << one.name;
    EXPECT_EQ(config.intermediate_size, one.inter_dim) << one.name;
    EXPECT_EQ(config.moe.expert_hidden, one.moe_inter_dim) << one.name;
    EXPECT_EQ(config.layers, one.layers) << one.name;
    EXPECT_EQ(config.moe.first_dense_layers, one.dense_layers) << one.name;
    EXPECT_EQ(config.heads, one.heads) << one.name;
    EXPECT_EQ(config.moe.experts, one.experts) << one.name;
    EXPECT_EQ(config.moe.shared_experts, one.shared_experts) << one.name;
    EXPECT_EQ(config.moe.experts_per_token, one.active_experts) << one.name;
    EXPECT_EQ(config.mla.q_lora_rank, one.q_lora_rank) << one.name;
    EXPECT_EQ(config.mla.kv_lora_rank, 512) << one.name;
    EXPECT_EQ(config.mla.nope_head_dim, 128) << one.name;
    EXPECT_EQ(config.mla.rope_head_dim, 64) << one.name;
    EXPECT_EQ(config.mla.v_head_dim, 128) << one.name;
    EXPECT_NE(facts->source.find(one.file), std::string::npos) << facts->source;
  }
}

// As the index of the published files says (total_size).
TEST(ModelCatalogue, KnowsTheSizeOfV3sFiles) {
  const auto facts = catalogue_facts("v3", "fp8");
  ASSERT_TRUE(facts.has_value());
  EXPECT_NEAR(static_cast<double>(facts->file_bytes), 688.587e9, 0.5e9);
  // DeepSeek-V3 Technical Report, section 2: 37 billion are active for each token.
  EXPECT_NEAR(static_cast<double>(facts->active_parameters), 37e9, 1e9);
}

TEST(ModelCatalogue, NamesTheNearestOfAnUnknownModel) {
  const auto facts = catalogue_facts("v2-light", "q4_0");
  ASSERT_FALSE(facts.has_value());
  EXPECT_NE(facts.error().message.find("v2-lite"), std::string::npos);
  EXPECT_EQ(facts.error().kind, ErrorKind::kUsage);
}

TEST(ModelCatalogue, SaysWhichPrecisionsThereAre) {
  EXPECT_FALSE(catalogue_facts("v2-lite", "fp8").has_value());
  const auto facts = catalogue_facts("v2-lite", "int3");
  ASSERT_FALSE(facts.has_value());
  EXPECT_NE(facts.error().message.find("q4_0"), std::string::npos);
}

TEST(ModelFacts, WeighWhatALoadedModelHolds) {
  const auto kernels = Kernels::make(KernelChoice::kAuto, ThreadOptions(1));
  if (kernels->name() == "reference") GTEST_SKIP() << "the reference kernels do not pack";
  for (const char* model : {"llama_gqa_tied", "qwen3", "deepseek_v2_lite", "deepseek_v3_fp8"}) {
    const auto checkpoint =
        Checkpoint::open(std::filesystem::path(FATHOM_TEST_DATA) / "golden" / "models" / model);
    ASSERT_TRUE(checkpoint.has_value());
    const auto loaded = LanguageModel::load(**checkpoint, *kernels);
    ASSERT_TRUE(loaded.has_value());
    const auto facts = facts_of(**checkpoint);
    ASSERT_TRUE(facts.has_value());
    // Rows that fill up a panel depend on the processor's vectors, and weigh much in tiny models.
    EXPECT_NEAR(static_cast<double>(facts->weight_bytes),
                static_cast<double>((*loaded)->weight_bytes()),
                0.1 * static_cast<double>((*loaded)->weight_bytes()))
        << model;
  }
}

TEST(ModelFacts, OfAConfigurationAreThoseOfItsCheckpoint) {
  const auto checkpoint = make_random_checkpoint("distill-1.5b");
  ASSERT_TRUE(checkpoint.has_value());
  const auto counted = facts_of(**checkpoint);
  const auto computed = catalogue_facts("r1-distill-qwen-1.5b", "q4_0");
  ASSERT_TRUE(counted.has_value() && computed.has_value());
  EXPECT_EQ(counted->weight_bytes, computed->weight_bytes);
  EXPECT_EQ(counted->parameters, computed->parameters);
  EXPECT_EQ(counted->dense.int8_elements, computed->dense.int8_elements);
}

TEST(ModelFacts, CountElementsOfBlocksWithAMinimum) {
  auto plain = make_random_checkpoint("v2-lite-16b");
  ASSERT_TRUE(plain.has_value());
  const auto without = facts_of(**plain);
  const auto with = facts_of(WithMinima(*std::move(plain)));
  ASSERT_TRUE(without.has_value() && with.has_value());
  for (Part ModelFacts::* part : {&ModelFacts::dense, &ModelFacts::experts}) {
    EXPECT_EQ((*without.*part).minimum_elements, 0);
    EXPECT_GT((*with.*part).minimum_elements, 0);
    EXPECT_LE((*with.*part).minimum_elements, (*with.*part).int8_elements);
  }
  // Of 26 sparse layers, 64 experts of three matrices each.
  EXPECT_EQ(with->experts.minimum_elements, 26.0 * 64 * 3 * 2048 * 1408);
}

TEST(ModelFacts, NameWhatIsWrongWithAConfiguration) {
  const auto facts =
      facts_of_config(R"({"architectures": ["GPT2LMHeadModel"]})", "my.json", "q4_0");
  ASSERT_FALSE(facts.has_value());
  EXPECT_NE(facts.error().message.find("my.json"), std::string::npos);
}

}  // namespace
}  // namespace fathom::plan

#include "models/step_cost.h"

#include <gtest/gtest.h>

#include "checkpoint/random_checkpoint.h"

namespace fathom {
namespace {

// A checkpoint that only describes: step costs read no weights.
class Described : public Checkpoint {
 public:
  const ModelConfig& config() const override { return config_; }
  const TextSource& text() const override { return text_; }
  const GenerationDefaults& generation() const override { return generation_; }
  const std::filesystem::path& path() const override { return path_; }
  std::string_view format() const override { return "described"; }
  const std::vector<Tensor>& tensors() const override { return tensors_; }

  void add(std::string name, DType dtype, std::initializer_list<int64_t> dims) {
    const Shape shape(dims);
    tensors_.push_back({.name = std::move(name),
                        .dtype = dtype,
                        .shape = shape,
                        .bytes = byte_size(dtype, shape.elements())});
  }

  ModelConfig config_;

 private:
  TextSource text_;
  GenerationDefaults generation_;
  std::filesystem::path path_;
  std::vector<Tensor> tensors_;
};

// Heads that each have keys and values of head_dim; sets what step costs ask for.
ModelConfig config_of(int64_t hidden, int64_t layers, int64_t heads, int64_t head_dim) {
  ModelConfig config;
  config.hidden_size = hidden;
  config.layers = layers;
  config.heads = heads;
  config.kv_heads = 1;
  config.head_dim = head_dim;
  return config;
}

// One layer, hidden 64, two heads of 32 that share one KV head, vocabulary of 10. Q4_0 has 18 bytes
// for 32 elements.
Described dense() {
  Described model;
  model.config_ = config_of(64, 1, 2, 32);
  model.add("lm_head.weight", DType::kQ4_0, {10, 64});                          // 360 bytes
  model.add("model.embed_tokens.weight", DType::kF16, {10, 64});                // row: 128
  model.add("model.layers.0.input_layernorm.weight", DType::kF32, {64});        // 256
  model.add("model.layers.0.self_attn.q_proj.weight", DType::kQ4_0, {64, 64});  // 2304
  model.add("model.layers.0.self_attn.k_proj.weight", DType::kQ4_0, {32, 64});  // 1152
  model.add("model.layers.0.mlp.down_proj.weight", DType::kF16, {64, 96});      // 12288
  return model;
}

CacheLayout dense_cache() {
  return {.layers = 1, .key_width = 32, .value_width = 32, .type = CacheType::kF16};  // 128 a token
}

TEST(StepCost, DecodingReadsEveryWeightOnceAndTheWholeCache) {
  const StepCost cost = StepCostModel(dense(), dense_cache()).of({.sequences = 3, .context = 9});
  EXPECT_DOUBLE_EQ(cost.bytes, 360 + 3 * 128 + 256 + 2304 + 1152 + 12288 + 3 * 10 * 128);
  // q, k and the head, for three rows.
  EXPECT_DOUBLE_EQ(cost.int8_ops, 2 * 3 * (4096 + 2048 + 640));
  // down_proj for three rows; two heads of key and value 32 at 10 positions for three rows.
  EXPECT_DOUBLE_EQ(cost.float_ops, 2 * 3 * 6144 + 2 * 3 * 10 * 2 * (32 + 32));
}

TEST(StepCost, PrefillWantsTheLogitsOfTheLastTokenAlone) {
  const StepCost cost = StepCostModel(dense(), dense_cache()).of({.tokens = 5});
  EXPECT_DOUBLE_EQ(cost.int8_ops, 2 * 5 * (4096 + 2048) + 2 * 640);
  // Five tokens see 1 + 2 + 3 + 4 + 5 positions.
  EXPECT_DOUBLE_EQ(cost.float_ops, 2 * 5 * 6144 + 2 * 15 * 2 * (32 + 32));
}

TEST(StepCost, ATiedEmbeddingIsReadAsTheHead) {
  Described model;
  model.config_ = config_of(64, 0, 1, 64);
  model.config_.tied_embeddings = true;
  model.add("model.embed_tokens.weight", DType::kQ4_0, {10, 64});
  const StepCost cost = StepCostModel(model, {}).of({});
  EXPECT_DOUBLE_EQ(cost.bytes, 360 + 36);
  EXPECT_DOUBLE_EQ(cost.int8_ops, 2 * 640);
}

TEST(StepCost, OnlyExpertsThatAreChosenAreRead) {
  Described model;
  model.config_ = config_of(32, 1, 1, 32);
  model.config_.moe.experts = 4;
  model.config_.moe.experts_per_token = 1;
  for (int expert = 0; expert < 4; ++expert) {
    model.add(fmt::format("model.layers.0.mlp.experts.{}.up_proj.weight", expert), DType::kQ4_0,
              {32, 32});  // 576 bytes
  }
  const StepCostModel costs(model, {});
  EXPECT_DOUBLE_EQ(costs.of({}).bytes, 576);
  EXPECT_DOUBLE_EQ(costs.of({}).int8_ops, 2 * 1024);
  // The second token takes another expert three times of four.
  EXPECT_DOUBLE_EQ(costs.of({.sequences = 2}).bytes, 576 * 1.75);
  EXPECT_DOUBLE_EQ(costs.of({.sequences = 2}).int8_ops, 2 * 2 * 1024);
}

TEST(WeightReads, AreAllOfADenseModelAndGrowWithTheRowsThatChooseExperts) {
  EXPECT_EQ(StepCostModel(dense(), dense_cache()).weight_reads().of(1), 1);
  Described model = dense();
  model.config_.moe.experts = 4;
  model.config_.moe.experts_per_token = 1;
  // 16360 bytes, as the head and the layer have beside.
  model.add("model.layers.0.mlp.experts.0.up_proj.weight", DType::kF16, {1, 8180});
  const WeightReads reads = StepCostModel(model, dense_cache()).weight_reads();
  EXPECT_DOUBLE_EQ(reads.expert_share, 0.5);
  EXPECT_DOUBLE_EQ(reads.of(1), 0.5 + 0.5 * 0.25);
  EXPECT_DOUBLE_EQ(reads.of(2), 0.5 + 0.5 * 0.4375);
  EXPECT_NEAR(reads.of(1000), 1, 1e-12);
}

TEST(StepCost, MtpLayersTakeNoPart) {
  Described with = dense();
  with.add("model.layers.1.eh_proj.weight", DType::kQ4_0, {64, 128});
  EXPECT_DOUBLE_EQ(StepCostModel(with, dense_cache()).of({}).bytes,
                   StepCostModel(dense(), dense_cache()).of({}).bytes);
}

TEST(StepCost, LatentAttentionCountsInItsAbsorbedForm) {
  Described model;
  model.config_ = config_of(64, 1, 2, 12);
  model.config_.mla.kv_lora_rank = 16;
  model.config_.mla.rope_head_dim = 4;
  // Two heads, keys of 16 + 4 and values of 16, at 5 positions.
  EXPECT_DOUBLE_EQ(StepCostModel(model, {}).of({.context = 4}).float_ops, 2 * 2 * (20 + 16) * 5);
}

TEST(StepCost, TheLongerOfReadingAndComputingLimitsAStep) {
  const MachineLimits limits = {
      .read_bytes_per_second = 10, .int8_ops_per_second = 100, .float_ops_per_second = 50};
  EXPECT_DOUBLE_EQ(least_seconds({.bytes = 30, .int8_ops = 100, .float_ops = 50}, limits), 3);
  EXPECT_DOUBLE_EQ(least_seconds({.bytes = 10, .int8_ops = 100, .float_ops = 50}, limits), 2);
  EXPECT_DOUBLE_EQ(
      least_seconds({.bytes = 10, .int8_ops = 100, .float_ops = 50}, {.read_bytes_per_second = 10}),
      1);
}

TEST(StepCost, ExpertsOfManyTokensAreNearlyAll) {
  EXPECT_DOUBLE_EQ(expected_distinct_experts(64, 6, 1), 6);
  EXPECT_DOUBLE_EQ(expected_distinct_experts(64, 6, 2), 12 - 36.0 / 64);
  EXPECT_NEAR(expected_distinct_experts(64, 6, 64), 64 - 64 * 0.001836, 0.0001);
}

// DeepSeek-R1-Distill-Qwen-1.5B has 1,777,088,000 parameters, of which its embedding has
// 233,373,696; norms have 87,552 and biases 57,344.
TEST(StepCost, ARealShapesDecodeReadsAllItsParametersButTheEmbedding) {
  const auto shape = make_random_checkpoint("distill-1.5b");
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  const StepCost cost = StepCostModel(**shape, {}).of({});
  const double vectors = 87552 + 57344;
  const double matrices = 1777088000.0 - 233373696.0 - vectors;
  EXPECT_DOUBLE_EQ(cost.int8_ops, 2 * matrices);
  EXPECT_DOUBLE_EQ(cost.bytes, matrices * 18 / 32 + vectors * 4 + 1536 * 18 / 32);
}

}  // namespace
}  // namespace fathom

// What `inspect` says of a checkpoint: sizes, memory, tier.
#include "checkpoint/describe.h"

#include <gtest/gtest.h>

#include "checkpoint/expect_error.h"
#include "checkpoint/gguf_checkpoint.h"
#include "checkpoint/tiny_checkpoints.h"

namespace fathom {
namespace {

CheckpointDescription describe_file(const GgufWriter& writer) {
  const std::vector<std::byte> bytes = writer.bytes();
  const auto checkpoint = read_gguf_checkpoint(bytes, "x.gguf");
  EXPECT_TRUE(checkpoint.has_value());
  return checkpoint ? describe(**checkpoint) : CheckpointDescription{};
}

TEST(Describe, CountsTheParametersOfADenseModel) {
  const CheckpointDescription description = describe_file(tiny_llama_gguf());
  // Two embeddings of 10 x 8, three norms of 8, attention 8 x (8 + 4 + 4 + 8), MLP 3 x 8 x 16.
  EXPECT_EQ(description.parameters, 160 + 24 + 192 + 384);
  EXPECT_EQ(description.active_parameters, description.parameters);
  EXPECT_EQ(description.tensor_bytes, 4 * description.parameters);
  EXPECT_EQ(description.quantization, "F32");
  EXPECT_EQ(description.tier, Tier::kNano);
}

TEST(Describe, LeavesIdleExpertsAndLookedUpRowsOutOfActiveParameters) {
  const CheckpointDescription description = describe_file(tiny_deepseek_gguf());
  constexpr int64_t kExpert = 3 * 8 * 4;
  EXPECT_EQ(description.parameters - description.active_parameters, 2 * kExpert + 10 * 8);
  EXPECT_EQ(description.tier, Tier::kV1);
}

TEST(Describe, ListsTypesByTheirBytes) {
  GgufWriter file = tiny_llama_gguf();
  GgufTensorEntry& output = file.tensor("output.weight");
  output.type = 1;  // F16
  output.data.resize(160);
  const CheckpointDescription description = describe_file(file);
  ASSERT_EQ(description.by_dtype.size(), 2U);
  EXPECT_EQ(description.by_dtype[0].dtype, DType::kF32);
  EXPECT_EQ(description.by_dtype[1].dtype, DType::kF16);
  EXPECT_EQ(description.by_dtype[1].bytes, 160);
  EXPECT_EQ(description.by_dtype[1].elements, 80);
  EXPECT_EQ(description.by_dtype[1].tensors, 1);
  EXPECT_EQ(description.quantization, "F32 + F16");
}

TEST(Describe, CountsCacheBytesOfGroupedQueriesAndOfMla) {
  ModelConfig llama;  // Llama-3-8B
  llama.layers = 32;
  llama.kv_heads = 8;
  llama.head_dim = 128;
  EXPECT_EQ(cache_bytes_per_token(llama), 131072);
  ModelConfig v3;  // DeepSeek-V3: 70,272 bytes
  v3.layers = 61;
  v3.mla.kv_lora_rank = 512;
  v3.mla.rope_head_dim = 64;
  EXPECT_EQ(cache_bytes_per_token(v3), 70272);
}

TEST(Describe, NeedsMemoryForWeightsCacheAndWorkspace) {
  const CheckpointDescription description = describe_file(tiny_llama_gguf());
  EXPECT_EQ(description.cache_bytes_per_token, 2 * 4 * 2);
  EXPECT_EQ(memory_bytes(description, 100) - memory_bytes(description, 0), 1600);
  EXPECT_GT(memory_bytes(description, 0), description.weight_bytes);
}

TEST(Describe, DrawsTheLineBetweenNanoAndLite) {
  const ModelConfig dense;
  EXPECT_EQ(tier_of(dense, 134'515'008), Tier::kNano);
  EXPECT_EQ(tier_of(dense, 1'200'000'000), Tier::kNano);
  EXPECT_EQ(tier_of(dense, 1'500'000'000), Tier::kLite);
  ModelConfig sparse;
  sparse.moe.experts = 64;
  EXPECT_EQ(tier_of(sparse, 1'000), Tier::kV1);
}

}  // namespace
}  // namespace fathom

#include "checkpoint/model_tensors.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "checkpoint/validate.h"

namespace fathom {
namespace {

// Checkpoints that were written by transformers (golden/make_models.py).
std::unique_ptr<Checkpoint> golden(const std::string& name) {
  auto opened =
      Checkpoint::open(std::filesystem::path(FATHOM_TEST_DATA) / "golden" / "models" / name);
  EXPECT_TRUE(opened.has_value()) << opened.error().message;
  return opened ? *std::move(opened) : nullptr;
}

// One layer of Llama with heads of 16.
ModelConfig small(int64_t hidden, int64_t intermediate, int64_t heads) {
  ModelConfig config;
  config.vocab_size = 64;
  config.hidden_size = hidden;
  config.intermediate_size = intermediate;
  config.layers = 1;
  config.heads = config.kv_heads = heads;
  config.head_dim = 16;
  return config;
}

TEST(ModelTensors, AreThoseOfRealFilesOfEachFamily) {
  for (const char* name : {"llama_mha", "llama_gqa_tied", "qwen2_tied", "qwen3", "deepseek_moe",
                           "deepseek_v2_lite", "deepseek_v3"}) {
    SCOPED_TRACE(name);
    const auto checkpoint = golden(name);
    ASSERT_NE(checkpoint, nullptr);
    const auto listed = tensors_of(checkpoint->config(), *tensor_types("bf16"));
    ASSERT_EQ(listed.size(), checkpoint->tensors().size());
    for (size_t i = 0; i < listed.size(); ++i) {
      EXPECT_EQ(listed[i].name, checkpoint->tensors()[i].name);
      EXPECT_EQ(listed[i].shape, checkpoint->tensors()[i].shape) << listed[i].name;
    }
  }
}

TEST(ModelTensors, PassTheCheckOfCheckpointsAtEachPrecision) {
  const auto checkpoint = golden("deepseek_v3");
  ASSERT_NE(checkpoint, nullptr);
  for (const char* precision : {"bf16", "q8_0", "q4_0"}) {
    const auto tensors = tensors_of(checkpoint->config(), *tensor_types(precision));
    ModelConfig config = checkpoint->config();
    complete_config(config, tensors);  // GGUF files have no layers for multi-token prediction
    const auto valid = validate_tensors(config, tensors, precision);
    EXPECT_TRUE(valid.has_value()) << valid.error().message;
  }
}

TEST(ModelTensors, KeepRowsThatAreNoWholeBlocksPlain) {
  const ModelConfig config = small(48, 64, 3);
  const auto tensors = tensors_of(config, *tensor_types("q8_0"));
  EXPECT_EQ(find_tensor(tensors, "model.embed_tokens.weight")->dtype, DType::kF16);
  EXPECT_EQ(find_tensor(tensors, "model.layers.0.mlp.down_proj.weight")->dtype, DType::kQ8_0);
}

TEST(ModelTensors, HaveAScaleForEachBlockOfFp8) {
  const ModelConfig config = small(160, 320, 10);
  const auto tensors = tensors_of(config, *tensor_types("fp8"));
  EXPECT_EQ(find_tensor(tensors, "model.layers.0.mlp.up_proj.weight_scale_inv")->shape,
            Shape({3, 2}));
  EXPECT_EQ(find_tensor(tensors, "lm_head.weight_scale_inv"), nullptr);
}

TEST(ModelTensors, AreUnknownAtAPrecisionThatDoesNotExist) {
  EXPECT_FALSE(tensor_types("q3").has_value());
}

}  // namespace
}  // namespace fathom

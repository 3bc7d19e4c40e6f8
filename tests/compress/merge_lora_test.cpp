// Adapters that PEFT made, merged, against the logits of PEFT's own merge; and what is refused.
#include "compress/merge_lora.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "golden/golden_file.h"
#include "hub/test_files.h"
#include "tiny_runs.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

fs::path golden_adapter(const std::string& name) {
  return fs::path(FATHOM_TEST_DATA) / "golden" / "lora" / name;
}

struct Pair {
  const char* adapter;
  const char* model;
};
// Every way a file can hold the layers: as they are, with q and k permuted, experts apart and
// stacked, the latent's up-projection whole and in halves.
constexpr std::array<Pair, 10> kPairs{
    {{"llama_attention", "llama_mha"},
     {"llama_attention", "llama_mha/f32.gguf"},
     {"llama_all", "llama_mha"},
     {"llama_all", "llama_mha/f32.gguf"},
     {"llama_gqa_all", "llama_gqa_tied/f16.gguf"},
     {"deepseek_moe_experts", "deepseek_moe"},
     {"deepseek_moe_experts", "deepseek_moe/f16.gguf"},
     {"deepseek_v2_lite_all", "deepseek_v2_lite/mla_whole.gguf"},
     {"deepseek_v2_groups_all", "deepseek_v2_groups"},
     {"deepseek_v2_groups_all", "deepseek_v2_groups/mla_split.gguf"}}};

class MergeLora : public testing::Test {
 protected:
  Result<MergeReport> merge(const Checkpoint& checkpoint, const fs::path& adapter_path,
                            std::optional<DType> type = DType::kF32) {
    FATHOM_TRY(const LoraAdapter adapter, read_lora_adapter(adapter_path, checkpoint));
    const bool gguf = checkpoint.format().starts_with("GGUF");
    return merge_lora(checkpoint, adapter, output_,
                      gguf ? OutputFormat::kGguf : OutputFormat::kHuggingFace,
                      {.type = type, .threads = 2});
  }

  hub::TemporaryDirectory folder_;
  fs::path output_ = folder_.path() / "merged";
};

TEST_F(MergeLora, GivesTheLogitsOfPeftsOwnMerge) {
  for (const Pair& pair : kPairs) {
    SCOPED_TRACE(std::string(pair.adapter) + " into " + pair.model);
    const auto checkpoint = open_checkpoint(golden_model(pair.model));
    output_ = folder_.path() / (std::string("merged") + std::to_string(&pair - kPairs.data()));
    if (checkpoint->format().starts_with("GGUF")) output_ += ".gguf";
    const auto report = merge(*checkpoint, golden_adapter(pair.adapter));
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GT(report->changed, 0);
    const auto merged = open_checkpoint(output_);
    ASSERT_NE(merged, nullptr);
    const GoldenFile golden = read_golden(golden_adapter(pair.adapter) / "merged.golden");
    for (const GoldenPrompt& prompt : golden.prompts) {
      const auto logits = logits_of(*merged, {prompt.tokens});
      EXPECT_LT(mean_square_difference(logits, prompt.logits), 1e-8);
      EXPECT_GT(mean_square_difference(logits_of(*checkpoint, {prompt.tokens}), prompt.logits),
                1e-3);
    }
  }
}

TEST_F(MergeLora, KeepsTypesAndWhatTheAdapterDoesNotChange) {
  const auto checkpoint = open_checkpoint(golden_model("deepseek_moe"));
  const auto report = merge(*checkpoint, golden_adapter("deepseek_moe_experts"), {});
  ASSERT_TRUE(report) << report.error().message;
  const auto merged = open_checkpoint(output_);
  ASSERT_NE(merged, nullptr);
  int64_t changed = 0;
  for (const Tensor& tensor : merged->tensors()) {
    const Tensor& before = *checkpoint->find(tensor.name);
    EXPECT_EQ(tensor.dtype, before.dtype) << tensor.name;
    const bool same = std::equal(tensor.data, tensor.data + tensor.bytes, before.data);
    changed += same ? 0 : 1;
    EXPECT_EQ(same, tensor.name.find("_proj") == std::string::npos) << tensor.name;
  }
  EXPECT_EQ(changed, report->changed);
}

TEST_F(MergeLora, RefusesWeightsThatWouldBeRoundedAgain) {
  const auto checkpoint =
      open_checkpoint(fs::path(FATHOM_TEST_DATA) / "golden" / "quantized" / "Q8_0.gguf");
  LoraAdapter adapter{.path = "adapter", .modules = {}};
  const auto found = std::ranges::find_if(checkpoint->tensors(), [](const Tensor& tensor) {
    return tensor.dtype == DType::kQ8_0 && role_of(tensor) == TensorRole::kMatrix;
  });
  ASSERT_NE(found, checkpoint->tensors().end());
  const Tensor& weight = *found;
  adapter.modules.push_back({.module = weight.name.substr(0, weight.name.rfind(".weight")),
                             .rank = 1,
                             .in = weight.shape[1],
                             .out = weight.shape[0],
                             .a = std::vector<float>(static_cast<size_t>(weight.shape[1]), 1.0F),
                             .b = std::vector<float>(static_cast<size_t>(weight.shape[0]), 1.0F)});
  const auto refused = merge_lora(*checkpoint, adapter, output_, OutputFormat::kGguf, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--type f16"), std::string::npos);
  const auto made = merge_lora(*checkpoint, adapter, output_, OutputFormat::kGguf,
                               {.type = DType::kF16, .threads = 1});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(open_checkpoint(output_)->find(weight.name)->dtype, DType::kF16);
}

TEST_F(MergeLora, NamesASumThatTheTypeCannotHold) {
  const auto checkpoint = open_checkpoint(golden_model("llama_gqa_tied") / "f16.gguf");
  LoraAdapter adapter{.path = "adapter", .modules = {}};
  adapter.modules.push_back({.module = "model.layers.1.self_attn.o_proj",
                             .rank = 1,
                             .in = 64,
                             .out = 64,
                             .a = std::vector<float>(64, 1e3F),
                             .b = std::vector<float>(64, 1e3F)});
  const auto refused = merge_lora(*checkpoint, adapter, output_, OutputFormat::kGguf, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("layers.1.self_attn.o_proj"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

}  // namespace
}  // namespace fathom

// Moving scales between matrices must not change what a model computes: every family, every site,
// with random scales.
#include "compress/folds.h"

#include "compress/awq.h"
#include "compress/overlay_checkpoint.h"
#include "compress/sites.h"
#include "tiny_runs.h"

namespace fathom {
namespace {

class Folding : public testing::TestWithParam<std::string> {};

TEST_P(Folding, LeavesTheLogitsAsTheyWere) {
  const auto checkpoint = open_checkpoint(golden_model(GetParam()));
  ASSERT_NE(checkpoint, nullptr);
  std::mt19937 random(11);
  std::uniform_real_distribution<float> exponent(-1.5F, 1.5F);
  Folds folds;
  int64_t folded = 0;
  for (int64_t layer = 0; layer < checkpoint->config().layers; ++layer) {
    for (const Site& site : sites_of(*checkpoint, layer)) {
      if (site.producers.empty()) continue;
      std::vector<float> s(static_cast<size_t>(site.producer_width()));
      for (float& factor : s) factor = std::exp2(exponent(random));
      fold(site, s, folds);
      ++folded;
    }
  }
  EXPECT_GE(folded, 2 * checkpoint->config().layers);

  std::vector<std::vector<float>> values;
  std::vector<Tensor> replaced;
  values.reserve(checkpoint->tensors().size());
  for (const Tensor& tensor : checkpoint->tensors()) {
    if (!folds.touches(tensor)) continue;
    auto& folded_values = values.emplace_back(static_cast<size_t>(tensor.shape.elements()));
    folds.read(tensor, 0, row_count(tensor), folded_values.data());
    Tensor made = tensor;
    made.dtype = DType::kF32;
    made.block_scales = nullptr;
    made.data = reinterpret_cast<const std::byte*>(folded_values.data());
    made.bytes = tensor.shape.elements() * 4;
    replaced.push_back(made);
  }
  const auto windows = random_windows(*checkpoint, 3, 40);
  const auto before = logits_of(*checkpoint, windows);
  const auto after = logits_of(OverlayCheckpoint(*checkpoint, replaced), windows);
  ASSERT_EQ(before.size(), after.size());
  float largest = 1;
  for (const float logit : before) largest = std::max(largest, std::fabs(logit));
  for (size_t i = 0; i < before.size(); ++i) {
    ASSERT_NEAR(after[i], before[i], 1e-5F * largest) << "logit " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Folding,
                         testing::Values("llama_mha", "llama_gqa_tied", "llama_head_dim_sharded",
                                         "llama_attention_bias", "qwen2_tied", "qwen3",
                                         "deepseek_moe", "deepseek_v2_lite", "deepseek_v2_groups",
                                         "deepseek_v3", "deepseek_v3_fp8"),
                         [](const auto& test) { return test.param; });

TEST(Sites, NameEveryMatrixOfALayerButTheLatentUpProjections) {
  for (const char* model : {"llama_gqa_tied", "deepseek_moe", "deepseek_v3"}) {
    const auto checkpoint = open_checkpoint(golden_model(model));
    size_t found = 0;
    for (const Site& site : sites_of(*checkpoint, 1)) found += site.consumers.size();
    size_t expected = 0;
    for (const Tensor& tensor : checkpoint->tensors()) {
      if (!tensor.name.starts_with("model.layers.1.") || tensor.shape.rank() != 2) continue;
      if (tensor.name.ends_with("kv_b_proj.weight") || tensor.name.ends_with("mlp.gate.weight")) {
        continue;
      }
      ++expected;
    }
    EXPECT_EQ(found, expected) << model;
  }
}

TEST(Sites, KnowWhichValueHeadAQueryHeadReads) {
  Site site;
  site.heads_per_row = 2;
  site.head_dim = 4;
  EXPECT_EQ(site.producer_row(0), 0);
  EXPECT_EQ(site.producer_row(5), 1);   // second query head, same value head
  EXPECT_EQ(site.producer_row(11), 7);  // third query head, second value head
}

}  // namespace
}  // namespace fathom

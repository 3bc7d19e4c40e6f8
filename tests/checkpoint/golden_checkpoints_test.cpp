// The tiny checkpoints in tests/golden/models, which other programs wrote: every one opens, and a
// GGUF file holds the same tensors as the Hugging Face directory it was made from.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/expect_error.h"
#include "tensor/dequantize.h"
#include "tensor/finite_scales.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(FATHOM_TEST_DATA) / "golden" / "models";

std::vector<fs::path> model_directories() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(kModels)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

std::vector<float> values(const Tensor& tensor) {
  std::vector<float> result(static_cast<size_t>(tensor.shape.elements()));
  const int64_t cols = tensor.shape[tensor.shape.rank() - 1];
  dequantize_rows(tensor, 0, tensor.shape.elements() / cols, result.data());
  return result;
}

// GGUF has a query's and key's rotary pairs side by side where Llama has them in two halves.
std::vector<float> to_pairs(const std::vector<float>& halves, const Shape& shape, int64_t heads) {
  std::vector<float> pairs(halves.size());
  const int64_t cols = shape.rank() == 2 ? shape[1] : 1;
  const int64_t head_dim = shape[0] / heads;
  for (int64_t row = 0; row < shape[0]; ++row) {
    const int64_t within = row % head_dim;
    const int64_t half = within / (head_dim / 2);
    const int64_t to = row - within + within % (head_dim / 2) * 2 + half;
    std::copy_n(halves.begin() + row * cols, cols, pairs.begin() + to * cols);
  }
  return pairs;
}

class GoldenModel : public testing::TestWithParam<fs::path> {};

TEST_P(GoldenModel, Opens) {
  const auto checkpoint = Checkpoint::open(GetParam());
  expect_ok(checkpoint);
  for (const Tensor& tensor : (*checkpoint)->tensors()) {
    if (tensor.shape.rank() > 0) expect_ok(check_finite_scales(tensor));
  }
}

TEST_P(GoldenModel, HoldsTheSameTensorsAsItsGgufFiles) {
  const auto hf = Checkpoint::open(GetParam());
  expect_ok(hf);
  const ModelConfig& config = (*hf)->config();
  for (const auto& entry : fs::directory_iterator(GetParam())) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().string());
    const auto gguf = Checkpoint::open(entry.path());
    expect_ok(gguf);
    EXPECT_EQ((*gguf)->config().family, config.family);
    EXPECT_EQ((*gguf)->config().vocab_size, config.vocab_size);
    EXPECT_EQ((*gguf)->config().head_dim, config.head_dim);
    EXPECT_EQ((*gguf)->config().rope.softmax_mscale, config.rope.softmax_mscale);
    EXPECT_EQ((*gguf)->config().moe.groups_per_token, config.moe.groups_per_token);
    const bool permuted = (*gguf)->config().rope.layout != config.rope.layout;
    for (const Tensor& tensor : (*gguf)->tensors()) {
      const Tensor* twin = (*hf)->find(tensor.name);
      if (twin == nullptr) continue;  // MLA's split projections, rope factors
      EXPECT_EQ(tensor.shape, twin->shape) << tensor.name;
      std::vector<float> expected = values(*twin);
      const bool is_q = tensor.name.find(".q_proj.") != std::string::npos;
      const bool is_k = tensor.name.find(".k_proj.") != std::string::npos;
      if (permuted && (is_q || is_k)) {
        expected = to_pairs(expected, tensor.shape, is_q ? config.heads : config.kv_heads);
      }
      EXPECT_EQ(values(tensor), expected) << tensor.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel, testing::ValuesIn(model_directories()),
                         [](const auto& test) { return test.param.filename().string(); });

TEST(GoldenModels, ReachTheMtpLayerOfDeepseekV3) {
  const auto checkpoint = Checkpoint::open(kModels / "deepseek_v3");
  expect_ok(checkpoint);
  EXPECT_EQ((*checkpoint)->config().mtp_layers, 1);
  EXPECT_NE((*checkpoint)->find("model.layers.2.eh_proj.weight"), nullptr);
  EXPECT_NE((*checkpoint)->find("model.layers.2.mlp.experts.0.up_proj.weight"), nullptr);
}

}  // namespace
}  // namespace fathom

// Checkpoints turned into the other kind: tensors equal to those that llama.cpp's own package wrote
// or transformers saved, and the same logits.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/gguf_file.h"
#include "compress/quantize.h"
#include "hub/test_files.h"
#include "tensor/dequantize.h"
#include "tiny_runs.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  dequantize(tensor.dtype, tensor.data, tensor.shape.elements(), values.data());
  return values;
}

// Names by which a directory and a GGUF file of the same weights are kept in tests/golden/models.
struct Pair {
  std::string name;
  std::string gguf;
};

void PrintTo(const Pair& pair, std::ostream* out) {
  *out << pair.name;
}

class Converting : public testing::Test {
 protected:
  std::unique_ptr<Checkpoint> converted(const Checkpoint& source, const std::string& name,
                                        OutputFormat format) {
    const QuantizeOptions plain{
        .method = QuantizeMethod::kNone, .plain = DType::kF32, .threads = 2};
    const auto report = quantize(source, folder_.path() / name, format, plain);
    EXPECT_TRUE(report) << report.error().message;
    return report ? open_checkpoint(folder_.path() / name) : nullptr;
  }
  static void expect_same_logits(const Checkpoint& a, const Checkpoint& b) {
    const auto windows = random_windows(a, 2, 30);
    const auto expected = logits_of(a, windows);
    const auto got = logits_of(b, windows);
    ASSERT_EQ(expected.size(), got.size());
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-4F) << i;
  }
  static void expect_same_config(const ModelConfig& a, const ModelConfig& b) {
    EXPECT_EQ(a.family, b.family);
    EXPECT_EQ(a.layers, b.layers);
    EXPECT_EQ(a.head_dim, b.head_dim);
    EXPECT_EQ(a.kv_heads, b.kv_heads);
    EXPECT_EQ(a.context, b.context);
    EXPECT_EQ(a.tied_embeddings, b.tied_embeddings);
    EXPECT_FLOAT_EQ(a.norm_eps, b.norm_eps);
    EXPECT_FLOAT_EQ(a.rope.theta, b.rope.theta);
    EXPECT_NEAR(a.rope.attention_factor, b.rope.attention_factor, 1e-5);
    EXPECT_NEAR(a.rope.softmax_mscale, b.rope.softmax_mscale, 1e-5);
    EXPECT_EQ(a.moe.experts, b.moe.experts);
    EXPECT_EQ(a.moe.groups, b.moe.groups);
    EXPECT_EQ(a.moe.groups_per_token, b.moe.groups_per_token);
    EXPECT_EQ(a.moe.normalize_weights, b.moe.normalize_weights);
    EXPECT_FLOAT_EQ(a.moe.weight_scale, b.moe.weight_scale);
    EXPECT_EQ(a.mla.q_lora_rank, b.mla.q_lora_rank);
    EXPECT_EQ(a.mla.nope_head_dim, b.mla.nope_head_dim);
  }
  // All that `expected` has; `got` may have more (layers that only one of the files holds).
  static void expect_same_tensors(const Checkpoint& expected, const Checkpoint& got) {
    for (const Tensor& tensor : expected.tensors()) {
      const Tensor* other = got.find(tensor.name);
      ASSERT_NE(other, nullptr) << tensor.name;
      ASSERT_EQ(tensor.shape, other->shape) << tensor.name;
      const auto wanted = values_of(tensor);
      const auto values = values_of(*other);
      for (size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_NEAR(values[i], wanted[i], 1e-6F + 1e-5F * std::fabs(wanted[i])) << tensor.name;
      }
    }
  }

  hub::TemporaryDirectory folder_;
};

class Convert : public Converting, public testing::WithParamInterface<Pair> {};

TEST_P(Convert, MakesTheGgufThatItsOwnPackageWrites) {
  const auto directory = open_checkpoint(golden_model(GetParam().name));
  const auto golden = open_checkpoint(golden_model(GetParam().name) / GetParam().gguf);
  const auto made = converted(*directory, "made.gguf", OutputFormat::kGguf);
  ASSERT_NE(made, nullptr);
  expect_same_tensors(*golden, *made);
  expect_same_logits(*directory, *made);
  expect_same_config(directory->config(), made->config());
}

TEST_P(Convert, MakesTheDirectoryThatTheGgufCameFrom) {
  const auto directory = open_checkpoint(golden_model(GetParam().name));
  const auto golden = open_checkpoint(golden_model(GetParam().name) / GetParam().gguf);
  const auto made = converted(*golden, "made", OutputFormat::kHuggingFace);
  ASSERT_NE(made, nullptr);
  for (const Tensor& tensor : made->tensors()) {
    const Tensor* original = directory->find(tensor.name);
    ASSERT_NE(original, nullptr) << tensor.name;
    EXPECT_EQ(values_of(tensor), values_of(*original)) << tensor.name;
  }
  expect_same_logits(*directory, *made);
  expect_same_config(directory->config(), made->config());
}

INSTANTIATE_TEST_SUITE_P(
    Families, Convert,
    testing::Values(Pair{"llama_mha", "f32.gguf"}, Pair{"llama_gqa_tied", "f16.gguf"},
                    Pair{"llama_llama3_rope", "bf16.gguf"},
                    Pair{"llama_linear_rope_f16", "f16.gguf"},
                    Pair{"llama_head_dim_sharded", "split_file-00001-of-00002.gguf"},
                    Pair{"qwen2_tied", "f16.gguf"}, Pair{"qwen3", "f16.gguf"},
                    Pair{"deepseek_moe", "f16.gguf"}, Pair{"deepseek_v2_groups", "mla_split.gguf"},
                    Pair{"deepseek_v2_lite", "mla_split.gguf"},
                    Pair{"deepseek_v3", "mla_mtp.gguf"}),
    [](const auto& pair) { return pair.param.name; });

// Those of which no GGUF file is kept.
TEST_F(Converting, KeepsTheLogitsOfOtherDirectories) {
  for (const char* name : {"llama_attention_bias", "deepseek_moe_normalized",
                           "deepseek_v2_normalized", "deepseek_v3_fp8"}) {
    const auto directory = open_checkpoint(golden_model(name));
    const auto gguf = converted(*directory, std::string(name) + ".gguf", OutputFormat::kGguf);
    ASSERT_NE(gguf, nullptr) << name;
    expect_same_logits(*directory, *gguf);
    const auto back = converted(*gguf, name, OutputFormat::kHuggingFace);
    ASSERT_NE(back, nullptr) << name;
    expect_same_logits(*directory, *back);
  }
}

TEST_F(Converting, TakesLatentAttentionThatIsNotSplit) {
  const auto directory = open_checkpoint(golden_model("deepseek_v2_lite"));
  const auto whole = open_checkpoint(golden_model("deepseek_v2_lite") / "mla_whole.gguf");
  const auto made = converted(*whole, "made", OutputFormat::kHuggingFace);
  ASSERT_NE(made, nullptr);
  expect_same_tensors(*directory, *made);
}

TEST_F(Converting, SaysWhatGgufCannot) {
  const auto directory = open_checkpoint(golden_model("deepseek_v2_mscale"));
  const auto report = quantize(*directory, folder_.path() / "out.gguf", OutputFormat::kGguf,
                               {.method = QuantizeMethod::kNone, .threads = 1});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("mscale"), std::string::npos) << report.error().message;
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Converting, RoundsOnTheWay) {
  const auto directory = open_checkpoint(golden_model("llama_gqa_tied"));
  const auto golden = open_checkpoint(golden_model("llama_gqa_tied") / "f16.gguf");
  QuantizeOptions awq{.method = QuantizeMethod::kAwq, .keep = {"down_proj"}, .threads = 2};
  awq.calibration = random_windows(*directory, 8, 60);
  const auto windows = random_windows(*directory, 4, 60, 99);
  const auto expected = logits_of(*directory, windows);
  const auto error = [&](const Checkpoint& source, const std::string& name, OutputFormat format) {
    const auto report = quantize(source, folder_.path() / name, format, awq);
    EXPECT_TRUE(report) << report.error().message;
    if (!report) return 1e9;
    EXPECT_GT(report->quantized, 0);
    return mean_square_difference(expected,
                                  logits_of(*open_checkpoint(folder_.path() / name), windows));
  };
  const double same = error(*golden, "same.gguf", OutputFormat::kGguf);
  EXPECT_NEAR(error(*directory, "other.gguf", OutputFormat::kGguf), same, 0.5 * same);
  EXPECT_NEAR(error(*golden, "other", OutputFormat::kHuggingFace), same, 1.5 * same);
}

TEST_F(Converting, SaysWhatConfigJsonCannot) {
  const fs::path path = folder_.path() / "odd.gguf";
  fs::copy_file(golden_model("llama_llama3_rope") / "bf16.gguf", path);
  {
    const auto checkpoint = open_checkpoint(path);
    const auto file = parse_gguf(checkpoint->files()[0].bytes(), "odd");
    ASSERT_TRUE(file);
    for (const Tensor& tensor : file->tensors) {
      if (tensor.name != "rope_freqs.weight") continue;
      std::fstream out(path, std::ios::in | std::ios::out | std::ios::binary);
      out.seekp(tensor.data - checkpoint->files()[0].bytes().data());
      const float odd = 1.7F;  // where Llama 3 has 1
      out.write(reinterpret_cast<const char*>(&odd), sizeof odd);
    }
  }
  const auto checkpoint = open_checkpoint(path);
  const auto report = quantize(*checkpoint, folder_.path() / "out", OutputFormat::kHuggingFace,
                               {.method = QuantizeMethod::kNone, .threads = 1});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("rope_freqs.weight"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_.path() / "out.partial"));
}

// llama_gqa_tied's directory, in AutoAWQ's layout and back.
TEST_F(Converting, WritesAutoAwqsLayoutSoThatItReadsItBack) {
  const auto source = open_checkpoint(golden_model("llama_gqa_tied"));
  for (const bool zero_points : {false, true}) {
    QuantizeOptions options{.method = QuantizeMethod::kAwq,
                            .group = 64,
                            .zero_points = zero_points,
                            .keep = {"down_proj"},
                            .threads = 2};
    options.calibration = random_windows(*source, 4, 40);
    const fs::path awq = folder_.path() / "awq";
    const fs::path compressed = folder_.path() / "compressed";
    ASSERT_TRUE(quantize(*source, awq, OutputFormat::kAwq, options));
    ASSERT_TRUE(quantize(*source, compressed, OutputFormat::kHuggingFace, options));
    const auto one = open_checkpoint(awq);
    const auto other = open_checkpoint(compressed);
    for (const Tensor& tensor : other->tensors()) {
      const Tensor* same = one->find(tensor.name);
      ASSERT_NE(same, nullptr) << tensor.name;
      EXPECT_EQ(same->dtype, tensor.dtype) << tensor.name;
      EXPECT_EQ(values_of(*same), values_of(tensor)) << tensor.name;
    }
    const auto config = nlohmann::json::parse(std::ifstream(awq / "config.json"));
    const auto& stored = config["quantization_config"];
    EXPECT_EQ(stored["quant_method"], "awq");
    EXPECT_EQ(stored["version"], "gemm");
    EXPECT_EQ(stored["bits"], 4);
    EXPECT_EQ(stored["group_size"], 64);
    const std::vector<std::string> whole = stored["modules_to_not_convert"];
    EXPECT_NE(std::ranges::find(whole, "lm_head"), whole.end());
    EXPECT_NE(std::ranges::find(whole, "model.layers.0.mlp.down_proj"), whole.end());
    fs::remove_all(awq);
    fs::remove_all(compressed);
  }
}

TEST_F(Converting, SaysWhatAutoAwqsLayoutDoesNotHave) {
  const auto source = open_checkpoint(golden_model("llama_gqa_tied"));
  const auto report = quantize(*source, folder_.path() / "out", OutputFormat::kAwq,
                               {.bits = 8, .group = 32, .keep = {"down_proj"}, .threads = 1});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("4 bits"), std::string::npos);
}

}  // namespace
}  // namespace fathom

// Whole checkpoints, written and read back: what changes, what stays, and what is refused.
#include "compress/quantize.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "hub/test_files.h"
#include "tensor/dequantize.h"
#include "tensor/encode.h"
#include "tiny_runs.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  dequantize(tensor.dtype, tensor.data, tensor.shape.elements(), values.data());
  return values;
}

class Quantize : public testing::Test {
 protected:
  Result<QuantizeReport> make(const fs::path& source, QuantizeOptions options) {
    const auto checkpoint = open_checkpoint(source);
    const bool calibrated = needs_text(options.method);
    if (calibrated && options.calibration.empty()) {
      options.calibration = random_windows(*checkpoint, 12, 64);
    }
    options.threads = 2;
    options.on_note = [this](std::string_view text) { notes_ += std::string(text) + "\n"; };
    return quantize(*checkpoint, output_, format_, options);
  }
  std::unique_ptr<Checkpoint> made(const fs::path& source, const QuantizeOptions& options) {
    const auto report = make(source, options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? open_checkpoint(output_) : nullptr;
  }
  void expect_refused(const fs::path& source, const QuantizeOptions& options,
                      const std::string& part) {
    const auto report = make(source, options);
    ASSERT_FALSE(report);
    EXPECT_NE(report.error().message.find(part), std::string::npos) << report.error().message;
    EXPECT_TRUE(fs::is_empty(folder_.path()));
  }

  hub::TemporaryDirectory folder_;
  fs::path output_ = folder_.path() / "out.gguf";
  OutputFormat format_ = OutputFormat::kGguf;
  std::string notes_;
};

TEST_F(Quantize, ConvertsToF32WithoutChangingALogit) {
  const fs::path source = golden_model("llama_gqa_tied") / "f16.gguf";
  const auto f32 = made(source, {.method = QuantizeMethod::kNone, .plain = DType::kF32});
  ASSERT_NE(f32, nullptr);
  const auto original = open_checkpoint(source);
  const auto windows = random_windows(*original, 2, 30);
  EXPECT_EQ(logits_of(*original, windows), logits_of(*f32, windows));
  for (const Tensor& tensor : f32->tensors()) EXPECT_EQ(tensor.dtype, DType::kF32) << tensor.name;
  EXPECT_EQ(f32->config().norm_eps, original->config().norm_eps);
  EXPECT_EQ(f32->tensors().size(), original->tensors().size());
}

TEST_F(Quantize, RoundsEveryMatrixAndKeepsNorms) {
  const fs::path source = golden_model("llama_mha") / "f32.gguf";
  const auto original = open_checkpoint(source);
  const auto small = made(source, {.bits = 4});
  ASSERT_NE(small, nullptr);
  for (const Tensor& tensor : small->tensors()) {
    const Tensor& before = *original->find(tensor.name);
    if (tensor.shape.rank() == 1) {
      EXPECT_EQ(values_of(tensor), values_of(before)) << tensor.name;
    } else if (tensor.name.find("down_proj") != std::string::npos) {
      EXPECT_EQ(tensor.dtype, DType::kF16);  // rows of 80 have no whole groups
    } else if (tensor.name.starts_with("model.layers.")) {
      ASSERT_EQ(tensor.dtype, DType::kQ4_0) << tensor.name;
      std::vector<std::byte> expected(static_cast<size_t>(tensor.bytes));
      encode(DType::kQ4_0, values_of(before).data(), before.shape.elements(), expected.data());
      EXPECT_EQ(std::memcmp(expected.data(), tensor.data, expected.size()), 0) << tensor.name;
    } else if (tensor.shape.rank() == 2) {
      EXPECT_EQ(tensor.dtype, DType::kQ8_0) << tensor.name;  // embedding and head
    }
  }
}

TEST_F(Quantize, TakesTheTypesAskedFor) {
  const auto small =
      made(golden_model("llama_mha") / "f32.gguf", {.bits = 8,
                                                    .embedding = DType::kF16,
                                                    .head = DType::kQ4_1,
                                                    .keep = {"layers.0.self_attn.k_proj"}});
  ASSERT_NE(small, nullptr);
  const auto type = [&](const char* name) { return small->find(name)->dtype; };
  EXPECT_EQ(type("model.embed_tokens.weight"), DType::kF16);
  EXPECT_EQ(type("lm_head.weight"), DType::kQ4_1);
  EXPECT_EQ(type("model.layers.0.self_attn.k_proj.weight"), DType::kF32);
  EXPECT_EQ(type("model.layers.1.self_attn.k_proj.weight"), DType::kQ8_0);
}

// Rows of 256, but for o_proj's and down_proj's: which types those get, and that others can be
// read.
TEST_F(Quantize, GivesShortRowsTheNextTypeWithGroupsOf32) {
  const fs::path source = fs::path(FATHOM_TEST_DATA) / "golden" / "quantized" / "Q8_0.gguf";
  for (const auto& [type, short_type] :
       std::vector<std::pair<DType, DType>>{{DType::kQ2_K, DType::kQ4_0},
                                            {DType::kQ3_K, DType::kQ4_0},
                                            {DType::kQ4_K, DType::kQ5_0},
                                            {DType::kQ5_K, DType::kQ5_1},
                                            {DType::kQ6_K, DType::kQ8_0}}) {
    const auto small = made(source, {.type = type, .embedding = type, .requantize = true});
    ASSERT_NE(small, nullptr);
    std::set<DType> found;
    for (const Tensor& tensor : small->tensors()) {
      if (tensor.shape.rank() < 2) continue;
      const int64_t width = tensor.shape[1];
      found.insert(tensor.dtype);
      if (tensor.name == "lm_head.weight") continue;  // Q8_0
      EXPECT_EQ(tensor.dtype, width % 256 == 0  ? type
                              : width % 32 == 0 ? short_type
                                                : DType::kF16)
          << tensor.name;
    }
    EXPECT_TRUE(found.contains(type) && found.contains(short_type)) << name(type);
    fs::remove(output_);
  }
}

TEST_F(Quantize, AwqAndGptqStayCloserToTheLogitsInKTypesToo) {
  const fs::path source = fs::path(FATHOM_TEST_DATA) / "golden" / "quantized" / "Q8_0.gguf";
  const auto original = open_checkpoint(source);
  const auto windows = random_windows(*original, 8, 60, 99);
  const auto expected = logits_of(*original, windows);
  const auto error = [&](QuantizeMethod method) {
    const auto small = made(source, {.method = method, .type = DType::kQ3_K, .requantize = true});
    const double difference = mean_square_difference(expected, logits_of(*small, windows));
    fs::remove(output_);
    return difference;
  };
  const double rounded = error(QuantizeMethod::kRtn);
  EXPECT_LT(error(QuantizeMethod::kAwq), rounded);
  EXPECT_LT(error(QuantizeMethod::kGptq), rounded);
}

TEST_F(Quantize, GoesBelowFourAndAHalfBitsWhereRowsAllowIt) {
  const fs::path source = fs::path(FATHOM_TEST_DATA) / "golden" / "quantized" / "Q8_0.gguf";
  for (const double bits : {4.25, 5.0}) {
    const auto report = make(source, {.method = QuantizeMethod::kAwq,
                                      .embedding = DType::kQ3_K,
                                      .head = DType::kQ3_K,
                                      .target_bits = bits,
                                      .requantize = true});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LE(report->bits_per_weight, bits);
    EXPECT_GT(report->bits_per_weight, bits - 0.5);
    const auto small = open_checkpoint(output_);
    ASSERT_NE(small, nullptr);
    EXPECT_TRUE(std::ranges::any_of(small->tensors(), [](const Tensor& tensor) {
      return info(tensor.dtype).block_elements == 256;
    }));
    fs::remove(output_);
  }
}

// The golden models' weights are random and their inputs all alike; the margin is what is left.
TEST_F(Quantize, AwqAndGptqStayCloserToTheLogitsThanRounding) {
  for (const char* name : {"llama_mha/f32.gguf", "llama_gqa_tied/f16.gguf", "qwen3/f16.gguf"}) {
    const fs::path source = golden_model(name);
    const auto original = open_checkpoint(source);
    const auto windows = random_windows(*original, 8, 60, 99);
    const auto expected = logits_of(*original, windows);
    const auto error = [&](QuantizeMethod method) {
      const auto small = made(source, {.method = method});
      return mean_square_difference(expected, logits_of(*small, windows));
    };
    const double rounded = error(QuantizeMethod::kRtn);
    EXPECT_LT(error(QuantizeMethod::kAwq), rounded) << name;
    EXPECT_LT(error(QuantizeMethod::kGptq), rounded) << name;
    EXPECT_LT(error(QuantizeMethod::kAwqGptq), rounded) << name;
  }
}

TEST_F(Quantize, ChoosesTheCodesOfAHeadOfFewBitsByWhatItReads) {
  for (const char* name : {"llama_mha/f32.gguf", "llama_gqa_tied/f16.gguf"}) {
    const fs::path source = golden_model(name);
    const auto original = open_checkpoint(source);
    const bool tied = original->find("lm_head.weight") == nullptr;
    const auto windows = random_windows(*original, 8, 60, 99);
    const auto expected = logits_of(*original, windows);
    const auto error = [&](QuantizeMethod method) {
      QuantizeOptions options{.method = method, .keep = {"layers."}};
      (tied ? options.embedding : options.head) = DType::kQ4_0;
      const auto small = made(source, options);
      EXPECT_EQ(small->find(tied ? "model.embed_tokens.weight" : "lm_head.weight")->dtype,
                DType::kQ4_0);
      return mean_square_difference(expected, logits_of(*small, windows));
    };
    const double rounded = error(QuantizeMethod::kRtn);
    EXPECT_LT(error(QuantizeMethod::kAwq), rounded) << name;
    EXPECT_LT(error(QuantizeMethod::kGptq), rounded) << name;
  }
}

TEST_F(Quantize, ReadsSplitFilesAndMixturesOfExperts) {
  for (const char* name :
       {"llama_head_dim_sharded/split_file-00001-of-00002.gguf", "deepseek_moe/f16.gguf",
        "deepseek_v2_lite/mla_split.gguf", "deepseek_v3/mla_mtp.gguf"}) {
    const fs::path source = golden_model(name);
    const auto original = open_checkpoint(source);
    const auto windows = random_windows(*original, 2, 30);
    const auto expected = logits_of(*original, windows);
    double size = 0;
    for (const float logit : expected) size += static_cast<double>(logit * logit);
    size /= static_cast<double>(expected.size());
    for (const auto method : {QuantizeMethod::kRtn, QuantizeMethod::kAwq, QuantizeMethod::kGptq}) {
      const auto small = made(source, {.method = method, .bits = 8});
      ASSERT_NE(small, nullptr);
      EXPECT_EQ(small->tensors().size(), original->tensors().size());
      EXPECT_LT(mean_square_difference(expected, logits_of(*small, windows)), 0.02 * size) << name;
    }
  }
}

TEST_F(Quantize, SaysWhichExpertsNoTokenReached) {
  const fs::path source = golden_model("deepseek_moe") / "f16.gguf";
  QuantizeOptions options{.method = QuantizeMethod::kAwq};
  options.calibration = {{5, 5}};  // two tokens of two experts each cannot reach eight
  const auto report = make(source, options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->unreached, 0);
  EXPECT_NE(notes_.find("no calibration token reached model.layers."), std::string::npos);
  EXPECT_NE(open_checkpoint(output_), nullptr);
}

TEST_F(Quantize, RefusesAQuantisedSourceUnlessToldTo) {
  const fs::path source = fs::path(FATHOM_TEST_DATA) / "golden" / "quantized" / "Q8_0.gguf";
  expect_refused(source, {.bits = 4}, "--requantize");
  EXPECT_NE(made(source, {.bits = 4, .requantize = true}), nullptr);
  EXPECT_NE(made(source, {.method = QuantizeMethod::kNone, .plain = DType::kF16}), nullptr);
}

TEST_F(Quantize, RefusesWhatFormatsDoNotHave) {
  const fs::path source = golden_model("llama_mha") / "f32.gguf";
  expect_refused(source, {.group = 128}, "groups of 32");
  expect_refused(source, {.bits = 3}, "3 bits");
  expect_refused(source, {.bits = 8, .zero_points = true}, "8 bits");
  expect_refused(source, {.act_order = true}, "--method gptq");
  expect_refused(golden_model("llama_gqa_tied") / "f16.gguf", {.head = DType::kF16}, "--embedding");
}

TEST_F(Quantize, NamesATensorThatIsNotFiniteAndWritesNothing) {
  const fs::path source = folder_.path() / "damaged.gguf";
  fs::copy_file(golden_model("llama_mha") / "f32.gguf", source);
  const auto checkpoint = open_checkpoint(source);
  const Tensor& tensor = *checkpoint->find("model.layers.1.mlp.up_proj.weight");
  const auto place = tensor.data - checkpoint->files()[0].bytes().data();
  std::fstream file(source, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(place + 40);
  const float infinity = INFINITY;
  file.write(reinterpret_cast<const char*>(&infinity), sizeof infinity);
  file.close();
  for (const auto method : {QuantizeMethod::kRtn, QuantizeMethod::kAwq}) {
    const auto report = make(source, {.method = method});
    ASSERT_FALSE(report);
    EXPECT_NE(report.error().message.find("model.layers.1.mlp.up_proj.weight"), std::string::npos)
        << report.error().message;
    EXPECT_FALSE(fs::exists(output_));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1);
  }
}

TEST_F(Quantize, DoesNotWriteOverItsSource) {
  const fs::path source = folder_.path() / "model.gguf";
  fs::copy_file(golden_model("llama_mha") / "f32.gguf", source);
  output_ = source;
  const auto report = make(source, {.bits = 8});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("source itself"), std::string::npos);
}

class QuantizeHuggingFace : public Quantize {
 protected:
  QuantizeHuggingFace() {
    output_ = folder_.path() / "out";
    format_ = OutputFormat::kHuggingFace;
  }
};

// compressed-tensors' layout, which tests/checkpoint/hf_packed_test.cpp compares with numpy's.
TEST_F(QuantizeHuggingFace, WritesWhatItReadsBack) {
  const fs::path source = golden_model("llama_gqa_tied");
  const auto original = open_checkpoint(source);
  for (const bool zero_points : {false, true}) {
    for (const int group : {32, 64}) {
      const DType type = zero_points ? (group == 32 ? DType::kI4Z_32 : DType::kI4Z_64)
                                     : (group == 32 ? DType::kQ4_0 : DType::kI4_64);
      const auto small =
          made(source, {.group = group, .zero_points = zero_points, .keep = {"down_proj"}});
      ASSERT_NE(small, nullptr);
      const Tensor& tensor = *small->find("model.layers.1.self_attn.o_proj.weight");
      const Tensor& before = *original->find(tensor.name);
      ASSERT_EQ(tensor.dtype, type) << name(tensor.dtype);
      std::vector<std::byte> expected(static_cast<size_t>(tensor.bytes));
      encode_groups(GroupCodec(type, true), values_of(before), expected.data());
      EXPECT_EQ(std::memcmp(expected.data(), tensor.data, expected.size()), 0);
      for (const char* kept : {"model.layers.0.mlp.down_proj.weight", "model.norm.weight",
                               "model.embed_tokens.weight"}) {
        EXPECT_EQ(values_of(*small->find(kept)), values_of(*original->find(kept))) << kept;
      }
      fs::remove_all(output_);
    }
  }
}

TEST_F(QuantizeHuggingFace, DescribesWhatItPacked) {
  ASSERT_NE(
      made(golden_model("deepseek_moe"), {.bits = 4, .group = 64, .keep = {"down_proj", "o_proj"}}),
      nullptr);
  const auto config = nlohmann::json::parse(std::ifstream(output_ / "config.json"));
  EXPECT_EQ(config["hidden_size"], 64);
  const auto& stored = config["quantization_config"];
  EXPECT_EQ(stored["quant_method"], "compressed-tensors");
  EXPECT_EQ(stored["format"], "pack-quantized");
  const auto& weights = stored["config_groups"]["group_0"]["weights"];
  EXPECT_EQ(weights["num_bits"], 4);
  EXPECT_EQ(weights["group_size"], 64);
  EXPECT_EQ(weights["symmetric"], true);
  const std::vector<std::string> ignored = stored["ignore"];
  for (const char* name :
       {"lm_head", "model.layers.1.mlp.gate", "model.layers.0.self_attn.o_proj"}) {
    EXPECT_NE(std::ranges::find(ignored, name), ignored.end()) << name;
  }
  EXPECT_EQ(std::ranges::find(ignored, "model.layers.0.self_attn.q_proj"), ignored.end());
}

TEST_F(QuantizeHuggingFace, AwqAndGptqStayCloserToTheLogitsThanRounding) {
  const fs::path source = golden_model("llama_mha");
  const auto original = open_checkpoint(source);
  const auto windows = random_windows(*original, 8, 60, 99);
  const auto expected = logits_of(*original, windows);
  const auto error = [&](QuantizeMethod method) {
    const auto small = made(source, {.method = method, .group = 64, .keep = {"down_proj"}});
    const double result = mean_square_difference(expected, logits_of(*small, windows));
    fs::remove_all(output_);
    return result;
  };
  const double rounded = error(QuantizeMethod::kRtn);
  EXPECT_LT(error(QuantizeMethod::kAwq), rounded);
  EXPECT_LT(error(QuantizeMethod::kGptq), rounded);
  EXPECT_LT(error(QuantizeMethod::kAwqGptq), rounded);
}

TEST_F(QuantizeHuggingFace, ReadsFp8AndKeepsWhatIsNotQuantisedInBf16) {
  const auto small = made(golden_model("deepseek_v3_fp8"),
                          {.method = QuantizeMethod::kNone, .plain = DType::kBF16});
  ASSERT_NE(small, nullptr);
  const auto original = open_checkpoint(golden_model("deepseek_v3_fp8"));
  const auto windows = random_windows(*original, 2, 20);
  const auto expected = logits_of(*original, windows);
  EXPECT_LT(mean_square_difference(expected, logits_of(*small, windows)), 1e-3);
  const auto config = nlohmann::json::parse(std::ifstream(output_ / "config.json"));
  EXPECT_FALSE(config.contains("quantization_config"));
}

TEST_F(QuantizeHuggingFace, SaysWhichGroupsDivideTheRows) {
  expect_refused(golden_model("llama_mha"), {.group = 128, .keep = {"down_proj"}},
                 "Use --group 64");
  expect_refused(golden_model("llama_mha"), {.group = 64}, "--keep");  // down_proj's rows of 80
  expect_refused(golden_model("llama_mha"), {.bits = 8, .group = 64}, "8 bits");
  expect_refused(golden_model("llama_mha"), {.group = 64, .embedding = DType::kQ8_0}, "BF16");
}

TEST_F(QuantizeHuggingFace, DoesNotTouchADirectoryThatIsThere) {
  fs::create_directory(output_);
  const auto report = make(golden_model("llama_mha"), {.group = 64, .keep = {"down_proj"}});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("is there already"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(output_));
}

// llama_gqa_tied has an embedding that is the head, and down_proj, whose rows of 80 stay F16.
TEST_F(Quantize, SpendsABudgetOfBitsOnMatricesAndEmbedding) {
  const fs::path source = golden_model("llama_gqa_tied") / "f16.gguf";
  for (const QuantizeMethod method :
       {QuantizeMethod::kRtn, QuantizeMethod::kAwq, QuantizeMethod::kGptq}) {
    QuantizeOptions options{.method = method, .target_bits = 7.5};
    const auto report = make(source, options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LE(report->bits_per_weight, 7.5);
    EXPECT_GT(report->bits_per_weight, 7.0);
    const auto small = open_checkpoint(output_);
    ASSERT_NE(small, nullptr);
    std::set<DType> types;
    for (const Tensor& tensor : small->tensors()) {
      if (tensor.shape.rank() == 2) types.insert(tensor.dtype);
    }
    EXPECT_GE(types.size(), 2U);
    fs::remove(output_);
  }
}

TEST_F(Quantize, LosesLessTheLargerTheBudget) {
  const fs::path source = golden_model("llama_gqa_tied") / "f16.gguf";
  const auto original = open_checkpoint(source);
  const auto windows = random_windows(*original, 2, 30);
  const auto expected = logits_of(*original, windows);
  double before = 1e30;
  for (const double bits : {6.8, 7.5, 10.0}) {
    const auto small = made(source, {.target_bits = bits});
    ASSERT_NE(small, nullptr);
    const double loss = mean_square_difference(expected, logits_of(*small, windows));
    EXPECT_LT(loss, before) << bits;
    before = loss;
    fs::remove(output_);
  }
}

TEST_F(Quantize, KeepsToABudgetOfBytes) {
  const fs::path source = golden_model("llama_gqa_tied") / "f16.gguf";
  const auto least = make(source, {.target_bits = 6.7});
  ASSERT_TRUE(least) << least.error().message;
  const int64_t budget = least->bytes + 8192;
  const auto report = make(source, {.target_bytes = budget});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->bytes, least->bytes);
  EXPECT_LE(static_cast<int64_t>(fs::file_size(output_)), budget);
}

TEST_F(Quantize, RefusesABudgetThatCannotBeKept) {
  const fs::path source = golden_model("llama_gqa_tied") / "f16.gguf";
  expect_refused(source, {.target_bits = 4.25}, "bits a weight");
  expect_refused(source, {.target_bytes = 1000}, "--target-size is too small");
  expect_refused(source, {.bits = 8, .target_bits = 5.0}, "--bits");
}

TEST_F(QuantizeHuggingFace, SpendsABudgetOnFourAndEightBits) {
  QuantizeOptions options{.method = QuantizeMethod::kAwq, .keep = {"down_proj"}};
  const auto whole = make(golden_model("llama_gqa_tied"), {.keep = {"down_proj"}});
  ASSERT_TRUE(whole) << whole.error().message;
  fs::remove_all(output_);
  options.target_bits = whole->bits_per_weight + 1.2;
  const auto report = make(golden_model("llama_gqa_tied"), options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_LE(report->bits_per_weight, *options.target_bits);
  EXPECT_GT(report->bits_per_weight, whole->bits_per_weight + 0.4);
  const auto config = nlohmann::json::parse(std::ifstream(output_ / "config.json"));
  const auto& groups = config["quantization_config"]["config_groups"];
  ASSERT_EQ(groups.size(), 2U);
  const auto small = open_checkpoint(output_);
  ASSERT_NE(small, nullptr);
  for (const auto& group : groups) {
    const DType type = group["weights"]["num_bits"] == 4 ? DType::kQ4_0 : DType::kQ8_0;
    EXPECT_FALSE(group["targets"].empty());
    for (const auto& target : group["targets"]) {
      const auto module = target.get<std::string>();
      EXPECT_EQ(small->find(module + ".weight")->dtype, type) << module;
    }
  }
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {  // vLLM joins these
    const auto type = [&](const char* name) {
      return small->find(fmt::format("{}{}.weight", layer, name))->dtype;
    };
    EXPECT_EQ(type("self_attn.q_proj"), type("self_attn.k_proj"));
    EXPECT_EQ(type("self_attn.q_proj"), type("self_attn.v_proj"));
    EXPECT_EQ(type("mlp.gate_proj"), type("mlp.up_proj"));
  }
}

TEST_F(QuantizeHuggingFace, SaysWhichGroupsABudgetNeeds) {
  expect_refused(golden_model("llama_mha"), {.group = 64, .target_bits = 5.0}, "--group 32");
  format_ = OutputFormat::kAwq;
  expect_refused(golden_model("llama_mha"), {.target_bits = 5.0}, "one type for all");
}

TEST_F(Quantize, LeavesNothingBehindWhenItIsInterrupted) {
  QuantizeOptions options{.bits = 8};
  options.on_progress = [](double) { return false; };
  expect_refused(golden_model("llama_mha") / "f32.gguf", options, "Interrupted");
}

TEST_F(Quantize, SaysThatTheOutputCannotBeWritten) {
  output_ = folder_.path() / "no" / "such" / "folder" / "out.gguf";
  expect_refused(golden_model("llama_mha") / "f32.gguf", {.bits = 8}, "cannot be written");
}

TEST_F(Quantize, ReplacesNoPipeDeviceOrDirectoryAndSaysSoBeforeItWorks) {
  const fs::path source = golden_model("llama_mha") / "f32.gguf";
  QuantizeOptions options{.bits = 8};
  bool worked = false;
  options.on_progress = [&worked](double) { return worked = true; };
  ASSERT_EQ(mkfifo(output_.c_str(), 0600), 0);
  const auto pipe = make(source, options);
  ASSERT_FALSE(pipe);
  EXPECT_NE(pipe.error().message.find("a device or pipe"), std::string::npos)
      << pipe.error().message;
  EXPECT_TRUE(fs::is_fifo(output_));
  fs::remove(output_);
  fs::create_directory(output_);
  const auto directory = make(source, options);
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("Is a directory"), std::string::npos)
      << directory.error().message;
  EXPECT_TRUE(fs::is_directory(output_));
  EXPECT_FALSE(worked);
}

// A limit on the size of files is met as a full disk is.
TEST_F(Quantize, SaysThatThereIsNoRoomBeforeItWorksAndLeavesNothing) {
  QuantizeOptions options{.bits = 8};
  bool worked = false;
  options.on_progress = [&worked](double) { return worked = true; };
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 8192, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto report = make(golden_model("llama_mha") / "f32.gguf", options);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("not enough space"), std::string::npos)
      << report.error().message;
  EXPECT_TRUE(fs::is_empty(folder_.path()));
  EXPECT_FALSE(worked);
}

TEST_F(Quantize, KeepsNothingByANameThatNoMatrixHas) {
  const fs::path source = golden_model("llama_mha") / "f32.gguf";
  expect_refused(source, {.keep = {"down_prj"}}, "--keep down_prj: no matrix has that");
  expect_refused(source, {.keep = {""}}, "--keep is empty");
  const auto checkpoint = made(source, {.keep = {"down_proj"}});
  ASSERT_NE(checkpoint, nullptr);
  EXPECT_EQ(checkpoint->find("model.layers.0.mlp.down_proj.weight")->dtype, DType::kF32);
}

}  // namespace
}  // namespace fathom

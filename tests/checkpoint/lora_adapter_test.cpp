// Reading PEFT's adapters: what they may be, and what is refused. Their values are compared with
// PEFT's in compress/merge_lora_test.
#include "checkpoint/lora_adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/lora_config.h"
#include "checkpoint/safetensors_output.h"
#include "hub/test_files.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

fs::path golden(const std::string& rest) {
  return fs::path(FATHOM_TEST_DATA) / "golden" / rest;
}

struct Matrix {
  std::string name;
  Shape shape;
  float value = 1;
};

class LoraAdapterFile : public testing::Test {
 protected:
  void write(const Json& config, const std::vector<Matrix>& tensors) const {
    std::ofstream(folder_.path() / "adapter_config.json") << config.dump();
    std::vector<SafetensorsOutput::Announced> announced;
    announced.reserve(tensors.size());
    for (const Matrix& tensor : tensors) {
      announced.push_back({tensor.name, DType::kF32, tensor.shape});
    }
    auto file =
        SafetensorsOutput::create({folder_.path() / "adapter_model.safetensors"}, announced);
    ASSERT_TRUE(file) << file.error().message;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const std::vector<float> values(static_cast<size_t>(tensors[i].shape.elements()),
                                      tensors[i].value);
      ASSERT_TRUE(file->write(i, 0, std::as_bytes(std::span(values))));
    }
    ASSERT_TRUE(file->commit());
  }
  void expect_refused(const Json& config, const std::vector<Matrix>& tensors,
                      const std::string& part) const {
    write(config, tensors);
    const auto checkpoint = Checkpoint::open(golden("models/llama_mha"));
    ASSERT_TRUE(checkpoint);
    const auto adapter = read_lora_adapter(folder_.path(), **checkpoint);
    ASSERT_FALSE(adapter) << part;
    EXPECT_NE(adapter.error().message.find(part), std::string::npos) << adapter.error().message;
  }
  static std::vector<Matrix> of(const std::string& module, int64_t out = 64, int64_t in = 64,
                                int64_t rank = 2) {
    const std::string prefix = "base_model.model." + module;
    return {{prefix + ".lora_A.weight", {rank, in}}, {prefix + ".lora_B.weight", {out, rank}}};
  }
  static Json config() { return {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 3}}; }
  static Json config(const char* key, const Json& value) {
    Json json = config();
    json[key] = value;
    return json;
  }

  hub::TemporaryDirectory folder_;
  const std::string module_ = "model.layers.1.self_attn.q_proj";
};

TEST_F(LoraAdapterFile, MultipliesTheScaleIntoB) {
  const auto scale = [&](const Json& json) {
    write(json, of(module_));
    const auto adapter = read_lora_adapter(folder_.path());
    EXPECT_TRUE(adapter) << adapter.error().message;
    return adapter ? adapter->modules.at(0).b.at(0) : NAN;
  };
  EXPECT_FLOAT_EQ(scale(config()), 1.5F);
  EXPECT_FLOAT_EQ(scale(config("use_rslora", true)), 3 / std::sqrt(2.0F));
  EXPECT_FLOAT_EQ(scale(config("alpha_pattern", {{"q_proj", 8}})), 4.0F);
  EXPECT_FLOAT_EQ(scale(config("alpha_pattern", {{"0.self_attn.q_proj", 8}})), 1.5F);
  EXPECT_FLOAT_EQ(scale(config("alpha_pattern", {{"^" + module_, 8}})), 4.0F);
  EXPECT_FLOAT_EQ(scale(config("alpha_pattern", {{"^self_attn.q_proj", 8}})), 1.5F);
  Json own_rank = config("rank_pattern", {{"q_proj", 2}});
  own_rank["r"] = 7;
  EXPECT_FLOAT_EQ(scale(own_rank), 1.5F);
}

TEST_F(LoraAdapterFile, PutsRowsWhereTheFileHasThem) {
  const auto hf = Checkpoint::open(golden("models/llama_mha"));
  const auto gguf = Checkpoint::open(golden("models/llama_mha/f32.gguf"));
  ASSERT_TRUE(hf && gguf);
  const auto plain = read_lora_adapter(golden("lora/llama_attention"), **hf);
  const auto permuted = read_lora_adapter(golden("lora/llama_attention"), **gguf);
  ASSERT_TRUE(plain && permuted);
  for (size_t i = 0; i < plain->modules.size(); ++i) {
    const LoraMatrices& a = plain->modules[i];
    const LoraMatrices& b = permuted->modules[i];
    EXPECT_EQ(a.a, b.a);
    const bool rotated = a.module.ends_with("q_proj") || a.module.ends_with("k_proj");
    EXPECT_EQ(a.b == b.b, !rotated) << a.module;
  }
}

TEST_F(LoraAdapterFile, RefusesAdaptersForOtherModels) {
  expect_refused(config(), of(module_, 64, 128), "for another model");
  expect_refused(config(), of(module_, 32, 64), "32 outputs");
  expect_refused(config(), of("model.layers.1.self_attn.qkv_proj"), "does not have");
  expect_refused(config(), of("model.layers.2.self_attn.q_proj"), "has 2 layers");
  expect_refused(config(), of("lm_head"), "not one of the layers");
  expect_refused(config(), of("model.layers.1.mlp.gate"), "not one of the layers");
}

TEST_F(LoraAdapterFile, RefusesKindsThatItDoesNotCompute) {
  const auto refuse = [&](const char* key, const Json& value, const std::string& part) {
    expect_refused(config(key, value), of(module_), part);
  };
  refuse("peft_type", "LOHA", "peft_type is \"LOHA\"");
  refuse("use_dora", true, "DoRA");
  refuse("bias", "all", "biases");
  refuse("modules_to_save", Json::array({"lm_head"}), "modules_to_save");
  refuse("target_parameters", Json::array({"mlp.experts.gate_up_proj"}), "target_parameters");
  refuse("init_lora_weights", "pissa_niter_4", "pissa");
  refuse("rank_pattern", {{"layers\\.[01]", 2}}, "pattern");
}

TEST_F(LoraAdapterFile, RefusesNumbersAndTensorsThatMakeNoSense) {
  expect_refused(config("r", 0), of(module_), "r is 0");
  expect_refused(config("r", 2.5), of(module_), "whole number");
  expect_refused(config("lora_alpha", nullptr), of(module_), "lora_alpha is missing");
  expect_refused(config("r", 4), of(module_), "has rank 2");
  expect_refused(config(), {}, "empty");
  expect_refused(config(), {of(module_)[0]}, "lora_A without lora_B");
  auto damaged = of(module_);
  damaged[1].value = NAN;
  expect_refused(config(), damaged, "not finite");
  auto extra = of(module_);
  extra.push_back({"base_model.model." + module_ + ".lora_magnitude_vector", {64}});
  expect_refused(config(), extra, "DoRA");
  extra.back().name = "base_model.model.lm_head.weight";
  expect_refused(config(), extra, "whole weight");
}

TEST_F(LoraAdapterFile, SaysWhatIsMissing) {
  const auto nothing = read_lora_adapter(folder_.path());
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find("adapter_config.json"), std::string::npos);
  std::ofstream(folder_.path() / "adapter_config.json") << config().dump();
  const auto no_weights = read_lora_adapter(folder_.path());
  ASSERT_FALSE(no_weights);
  EXPECT_NE(no_weights.error().message.find("adapter_model.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace fathom

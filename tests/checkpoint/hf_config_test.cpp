// config.json in the spellings of its families and years, and what must be refused in it.
#include "checkpoint/hf_config.h"

#include <gtest/gtest.h>

#include "checkpoint/expect_error.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/tiny_checkpoints.h"
#include "checkpoint/validate.h"

namespace fathom {
namespace {

using Json = nlohmann::json;

// As open() does: parsed, then validated.
Result<ModelConfig> read(const Json& json) {
  auto config = parse_hf_config(json.dump(), "config.json");
  if (!config) return config;
  if (auto status = validate_config(*config, "config.json"); !status) {
    return std::unexpected(status.error());
  }
  return config;
}

Json with(Json json, const std::string& key, Json value) {
  json[key] = std::move(value);
  return json;
}

Json without(Json json, const std::string& key) {
  json.erase(key);
  return json;
}

Json deepseek_v3() {
  Json json = tiny_llama_config();
  json.update({{"architectures", {"DeepseekV3ForCausalLM"}},
               {"model_type", "deepseek_v3"},
               {"kv_lora_rank", 6},
               {"q_lora_rank", 5},
               {"qk_nope_head_dim", 3},
               {"qk_rope_head_dim", 2},
               {"v_head_dim", 3},
               {"n_routed_experts", 8},
               {"n_shared_experts", 1},
               {"num_experts_per_tok", 2},
               {"moe_intermediate_size", 4},
               {"first_k_dense_replace", 1},
               {"n_group", 4},
               {"topk_group", 2},
               {"num_hidden_layers", 2},
               {"num_nextn_predict_layers", 1}});
  return json;
}

Json deepseek_v2() {
  Json json = deepseek_v3();
  json["architectures"] = {"DeepseekV2ForCausalLM"};
  json["model_type"] = "deepseek_v2";
  json["topk_method"] = "group_limited_greedy";
  json["routed_scaling_factor"] = 16.0;
  return json;
}

TEST(HfConfig, FillsInWhatALlamaLeavesOut) {
  Json json = tiny_llama_config();
  for (const char* key : {"num_key_value_heads", "rms_norm_eps", "max_position_embeddings"}) {
    json.erase(key);
  }
  const auto config = read(json);
  expect_ok(config);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->head_dim, 4);
  EXPECT_EQ(config->context, 2048);
  EXPECT_FLOAT_EQ(config->norm_eps, 1e-6F);
  EXPECT_FLOAT_EQ(config->rope.theta, 10000);
  EXPECT_EQ(config->rope.layout, RopeLayout::kHalves);
  EXPECT_FALSE(config->tied_embeddings);
}

TEST(HfConfig, TakesNullForMissing) {
  const auto config =
      read(with(with(tiny_llama_config(), "head_dim", nullptr), "rope_scaling", nullptr));
  expect_ok(config);
  EXPECT_EQ(config->head_dim, 4);
}

TEST(HfConfig, KnowsTheArchitectureByItsModelTypeToo) {
  const auto config = read(without(tiny_llama_config(), "architectures"));
  expect_ok(config);
  EXPECT_EQ(config->architecture, "LlamaForCausalLM");
}

TEST(HfConfig, ReadsQwen2AndQwen3) {
  Json json = tiny_llama_config();
  json["architectures"] = {"Qwen2ForCausalLM"};
  const auto qwen2 = read(json);
  expect_ok(qwen2);
  EXPECT_TRUE(qwen2->attention_bias);
  EXPECT_FALSE(qwen2->qk_norm);
  json["architectures"] = {"Qwen3ForCausalLM"};
  const auto qwen3 = read(json);
  expect_ok(qwen3);
  EXPECT_FALSE(qwen3->attention_bias);
  EXPECT_TRUE(qwen3->qk_norm);
  EXPECT_EQ(qwen3->head_dim, 128) << "Qwen3's default does not follow from the hidden size";
}

TEST(HfConfig, ReadsDeepseekV2) {
  const auto config = read(deepseek_v2());
  expect_ok(config);
  EXPECT_EQ(config->moe.scoring, RouterScoring::kSoftmax);
  EXPECT_FALSE(config->moe.correction_bias);
  EXPECT_FALSE(config->moe.group_score_top2);
  EXPECT_EQ(config->moe.groups, 4);
  EXPECT_EQ(config->moe.groups_per_token, 2);
  EXPECT_FLOAT_EQ(config->moe.weight_scale, 16);
  EXPECT_EQ(config->rope.layout, RopeLayout::kInterleaved);
  const auto greedy = read(with(deepseek_v2(), "topk_method", "greedy"));
  expect_ok(greedy);
  EXPECT_EQ(greedy->moe.groups, 1);
}

TEST(HfConfig, ReadsDeepseekV3) {
  const auto config = read(deepseek_v3());
  expect_ok(config);
  EXPECT_EQ(config->head_dim, 5);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->mtp_layers, 1);
  EXPECT_EQ(config->mla.q_lora_rank, 5);
  EXPECT_EQ(config->moe.scoring, RouterScoring::kSigmoid);
  EXPECT_TRUE(config->moe.correction_bias);
  EXPECT_TRUE(config->moe.group_score_top2);
  EXPECT_TRUE(config->moe.normalize_weights);
  EXPECT_FLOAT_EQ(config->moe.weight_scale, 2.5);
  const auto halves = read(with(deepseek_v3(), "rope_interleave", false));
  expect_ok(halves);
  EXPECT_EQ(halves->rope.layout, RopeLayout::kHalves);
}

TEST(HfConfig, DistinguishesAQueryRankOfNullFromAMissingOne) {
  const auto null = read(with(deepseek_v3(), "q_lora_rank", nullptr));
  expect_ok(null);
  EXPECT_EQ(null->mla.q_lora_rank, 0);
  const auto missing = read(without(deepseek_v3(), "q_lora_rank"));
  expect_ok(missing);
  EXPECT_EQ(missing->mla.q_lora_rank, 1536);
}

TEST(HfConfig, ReadsRopeScalingInAllItsSpellings) {
  const Json old_style{{"type", "linear"}, {"factor", 4.0}};
  const Json new_style{{"rope_type", "linear"}, {"factor", 4.0}};
  Json parameters = new_style;
  parameters["rope_theta"] = 5000.0;
  for (const Json& json : {with(tiny_llama_config(), "rope_scaling", old_style),
                           with(tiny_llama_config(), "rope_scaling", new_style),
                           with(tiny_llama_config(), "rope_parameters", parameters)}) {
    const auto config = read(json);
    expect_ok(config);
    EXPECT_EQ(config->rope.scaling, RopeScaling::kLinear);
    EXPECT_FLOAT_EQ(config->rope.factor, 4);
    EXPECT_FLOAT_EQ(config->rope.theta, json.contains("rope_parameters") ? 5000 : 10000);
  }
}

TEST(HfConfig, ReadsLlama3RopeScaling) {
  const auto config = read(with(tiny_llama_config(), "rope_scaling",
                                {{"rope_type", "llama3"},
                                 {"factor", 8.0},
                                 {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 4.0},
                                 {"original_max_position_embeddings", 8192}}));
  expect_ok(config);
  EXPECT_EQ(config->rope.scaling, RopeScaling::kLlama3);
  EXPECT_FLOAT_EQ(config->rope.factor, 8);
  EXPECT_FLOAT_EQ(config->rope.high_freq_factor, 4);
  EXPECT_EQ(config->rope.original_context, 8192);
}

// The factors below are DeepSeek's yarn_get_mscale and transformers' attention_factor, worked out
// with Python.
TEST(HfConfig, ScalesYarnAsDeepseekDoes) {
  const auto config = read(with(deepseek_v3(), "rope_scaling",
                                {{"type", "yarn"},
                                 {"factor", 40},
                                 {"mscale", 0.707},
                                 {"mscale_all_dim", 1.0},
                                 {"original_max_position_embeddings", 4096}}));
  expect_ok(config);
  EXPECT_NEAR(config->rope.attention_factor, 0.9210424, 1e-6);
  EXPECT_NEAR(config->rope.softmax_mscale, 1.3688879, 1e-6);
  const auto bare =
      read(with(deepseek_v3(), "rope_scaling",
                {{"type", "yarn"}, {"factor", 40}, {"original_max_position_embeddings", 4096}}));
  expect_ok(bare);
  EXPECT_NEAR(bare->rope.attention_factor, 1.3688879, 1e-6);
  EXPECT_FLOAT_EQ(bare->rope.softmax_mscale, 1);
}

TEST(HfConfig, ScalesYarnOfOtherFamiliesAsTransformersDoes) {
  const auto config = read(
      with(tiny_llama_config(), "rope_scaling",
           {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}}));
  expect_ok(config);
  EXPECT_NEAR(config->rope.attention_factor, 1.1386294, 1e-6);
  EXPECT_FLOAT_EQ(config->rope.softmax_mscale, 1);
  const auto given = read(with(tiny_llama_config(), "rope_scaling",
                               {{"rope_type", "yarn"},
                                {"factor", 4.0},
                                {"attention_factor", 1.5},
                                {"original_max_position_embeddings", 16}}));
  expect_ok(given);
  EXPECT_FLOAT_EQ(given->rope.attention_factor, 1.5);
}

TEST(HfConfig, RejectsAConfigOfNoLayers) {
  expect_error(read(with(tiny_llama_config(), "num_hidden_layers", 0)),
               {"config.json", "number of layers is 0"});
}

TEST(HfConfig, RejectsSizesThatAreZeroNegativeOrAbsurd) {
  for (const std::string key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "head_dim"}) {
    for (const int64_t value :
         {int64_t{0}, int64_t{-1}, int64_t{1} << 40, std::numeric_limits<int64_t>::min(),
          std::numeric_limits<int64_t>::max()}) {
      if (key == "hidden_size" && value == 0) continue;  // 0 elements among 2 heads: below
      const auto config = read(with(tiny_llama_config(), key, value));
      EXPECT_FALSE(config.has_value()) << key << " = " << value;
    }
  }
  expect_error(read(with(tiny_llama_config(), "hidden_size", 0)), {"hidden size is 0"});
  expect_error(read(with(tiny_llama_config(), "vocab_size", uint64_t{1} << 63)),
               {"vocab_size should be a whole number"});
}

TEST(HfConfig, RejectsHeadsThatDoNotDivide) {
  expect_error(read(with(tiny_llama_config(), "num_attention_heads", 3)),
               {"hidden size of 8 cannot be split among 3 heads"});
  expect_error(
      read(with(with(tiny_llama_config(), "num_attention_heads", 4), "num_key_value_heads", 3)),
      {"4 heads cannot share 3 key-value heads"});
  expect_error(read(with(tiny_llama_config(), "head_dim", 3)), {"head size is 3", "even"});
}

TEST(HfConfig, RejectsImpossibleRouting) {
  expect_error(read(with(deepseek_v3(), "num_experts_per_tok", 9)), {"experts per token is 9"});
  expect_error(read(with(deepseek_v3(), "num_experts_per_tok", 0)), {"experts per token is 0"});
  expect_error(read(with(deepseek_v3(), "n_group", 3)), {"3 equal groups"});
  expect_error(read(with(deepseek_v3(), "topk_group", 5)), {"groups per token is 5"});
  expect_error(read(with(deepseek_v3(), "n_routed_experts", -8)), {"number of experts is -8"});
  expect_error(read(with(deepseek_v3(), "scoring_func", "softmax")), {"scoring_func \"softmax\""});
  expect_error(read(with(deepseek_v2(), "topk_method", "random")), {"topk_method \"random\""});
  expect_error(read(with(deepseek_v3(), "moe_layer_freq", 0)), {"MoE layer frequency is 0"});
  expect_error(read(with(deepseek_v3(), "routed_scaling_factor", 0)), {"weight scale"});
}

TEST(HfConfig, RejectsMembersOfTheWrongType) {
  expect_error(read(with(tiny_llama_config(), "hidden_size", "8")),
               {"config.json: hidden_size should be a whole number, but is \"\"8\"\""});
  expect_error(read(with(tiny_llama_config(), "hidden_size", 8.5)), {"a whole number"});
  expect_error(read(with(tiny_llama_config(), "rms_norm_eps", "x")),
               {"rms_norm_eps should be a number"});
  expect_error(read(with(tiny_llama_config(), "tie_word_embeddings", 1)),
               {"tie_word_embeddings should be true or false"});
  expect_error(read(with(tiny_llama_config(), "rope_scaling", 3)), {"rope_scaling"});
  expect_error(read(with(tiny_llama_config(), "architectures", "Llama")), {"architectures"});
}

TEST(HfConfig, RejectsMissingSizes) {
  for (const std::string key : {"vocab_size", "hidden_size", "intermediate_size",
                                "num_hidden_layers", "num_attention_heads"}) {
    expect_error(read(without(tiny_llama_config(), key)), {key + " is missing"});
  }
}

TEST(HfConfig, RejectsWhatItCannotCompute) {
  expect_error(read(with(tiny_llama_config(), "architectures", {"MambaForCausalLM"})),
               {"\"MambaForCausalLM\" is not supported", "LlamaForCausalLM"});
  expect_error(read(with(tiny_llama_config(), "hidden_act", "gelu")), {"activation \"gelu\""});
  expect_error(read(with(tiny_llama_config(), "mlp_bias", true)), {"mlp_bias"});
  expect_error(read(with(tiny_llama_config(), "use_sliding_window", true)), {"sliding-window"});
  expect_error(read(with(tiny_llama_config(), "partial_rotary_factor", 0.5)), {"0.5"});
  expect_error(read(with(tiny_llama_config(), "rope_scaling", {{"type", "longrope"}})),
               {"rope scaling \"longrope\" is not supported"});
}

TEST(HfConfig, RejectsQuantisationsThatItCannotRead) {
  for (const std::string method : {"bitsandbytes", "quip"}) {
    expect_error(read(with(tiny_llama_config(), "quantization_config",
                           {{"quant_method", method}, {"bits", 4}})),
                 {"quantisation \"" + method + "\" is not supported", "GGUF"});
  }
  const auto fp8 = [](const Json& block) {
    return read(with(deepseek_v3(), "quantization_config",
                     {{"quant_method", "fp8"}, {"weight_block_size", block}}));
  };
  expect_ok(fp8({128, 128}));
  expect_error(fp8({64, 64}), {"blocks of [128, 128] only", "[64,64]"});
  expect_error(fp8(nullptr), {"weight_block_size is missing"});
}

TEST(HfConfig, RejectsRopeNumbersThatMakeNoSense) {
  expect_error(read(with(tiny_llama_config(), "rope_theta", -1)), {"rope base", "-1"});
  expect_error(read(with(tiny_llama_config(), "rope_theta", 1)), {"more than 1"});
  expect_error(read(with(tiny_llama_config(), "rope_scaling", {{"type", "linear"}, {"factor", 0}})),
               {"rope scaling factor is 0"});
  expect_error(read(with(tiny_llama_config(), "rope_scaling",
                         {{"rope_type", "llama3"}, {"low_freq_factor", 4.0}})),
               {"high_freq_factor"});
}

TEST(HfConfig, RejectsJsonBombs) {
  expect_error(parse_hf_config(std::string(100'000, '['), "config.json"), {"nested deeper"});
  std::string wide = "[0";
  for (int i = 0; i < 1'100'000; ++i) wide += ",0";
  expect_error(parse_hf_config(wide, "config.json"), {"more values"});
  expect_error(parse_hf_config(std::string(5U << 20, ' '), "config.json"), {"5242880 bytes"});
  expect_error(parse_hf_config("[]", "config.json"), {"config.json should hold a JSON object"});
  expect_error(parse_hf_config("", "config.json"), {"config.json is not usable JSON"});
  expect_error(parse_hf_config(R"({"vocab_size": 1, "vocab_size": 2})", "config.json"),
               {"\"vocab_size\" occurs twice"});
}

TEST(HfGeneration, PrefersItsOwnFileOverTheConfig) {
  const auto both = parse_hf_generation(
      R"({"eos_token_id": [1, 2], "temperature": 0.6, "top_p": 0.95, "top_k": 20})",
      R"({"eos_token_id": 3})", 10);
  expect_ok(both);
  EXPECT_EQ(both->eos_tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_FLOAT_EQ(*both->temperature, 0.6F);
  EXPECT_FLOAT_EQ(*both->top_p, 0.95F);
  EXPECT_EQ(both->top_k, 20);
  const auto config_only = parse_hf_generation("", R"({"eos_token_id": 3})", 10);
  expect_ok(config_only);
  EXPECT_EQ(config_only->eos_tokens, std::vector<int32_t>{3});
  EXPECT_FALSE(config_only->temperature.has_value());
}

TEST(HfGeneration, LeavesOutTokensThatTheModelCannotProduce) {
  const auto defaults = parse_hf_generation(R"({"eos_token_id": [100001, 5, -1]})", "", 10);
  expect_ok(defaults);
  EXPECT_EQ(defaults->eos_tokens, std::vector<int32_t>{5});
}

TEST(HfGeneration, AdvisesNoSamplingWhereItSaysSo) {
  const auto defaults = parse_hf_generation(R"({"do_sample": false, "temperature": 0.6})", "", 10);
  expect_ok(defaults);
  EXPECT_FALSE(defaults->temperature.has_value());
}

TEST(HfGeneration, RejectsEndTokensThatAreNoIds) {
  expect_error(parse_hf_generation(R"({"eos_token_id": "</s>"})", "", 10), {"eos_token_id"});
}

TEST(HfChatTemplate, IsAStringOrTheDefaultOfAList) {
  const auto find = [](std::string_view json) {
    return find_chat_template(json, "tokenizer_config.json").value();
  };
  EXPECT_EQ(find(R"({"chat_template": "x"})"), "x");
  EXPECT_EQ(find(R"({"chat_template": [{"name": "tool_use", "template": "t"},
                                       {"name": "default", "template": "d"}]})"),
            "d");
  EXPECT_EQ(find(R"({"chat_template": [{"name": "rag", "template": "r"}]})"), "r");
  EXPECT_EQ(find(R"({"bos_token": "<s>"})"), "");
  expect_error(find_chat_template(R"({"chat_template": 3})", "f"), {"string or a list"});
}

}  // namespace
}  // namespace fathom

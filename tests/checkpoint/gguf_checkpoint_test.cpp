// GGUF files as checkpoints: configuration, names, vocabulary, and everything that must be refused
// before a model is built.
#include "checkpoint/gguf_checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "checkpoint/expect_error.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/tiny_checkpoints.h"

namespace fathom {
namespace {

// Opens the writer's file; the bytes live as long as this.
class Opened {
 public:
  explicit Opened(const GgufWriter& writer)
      : bytes_(writer.bytes()), result_(read_gguf_checkpoint(bytes_, "x.gguf")) {}

  const Result<std::unique_ptr<Checkpoint>>& result() const { return result_; }
  const Checkpoint& operator*() const { return **result_; }
  const Checkpoint* operator->() const { return result_->get(); }

 private:
  std::vector<std::byte> bytes_;
  Result<std::unique_ptr<Checkpoint>> result_;
};

void expect_refused(const GgufWriter& file, std::initializer_list<std::string_view> parts) {
  expect_error(Opened(file).result(), parts);
}

TEST(GgufCheckpoint, ReadsALlama) {
  const Opened file(tiny_llama_gguf());
  expect_ok(file.result());
  const ModelConfig& config = file->config();
  EXPECT_EQ(config.family, Family::kLlama);
  EXPECT_EQ(config.model_name, "Tiny");
  EXPECT_EQ(config.vocab_size, 10);
  EXPECT_EQ(config.hidden_size, 8);
  EXPECT_EQ(config.intermediate_size, 16);
  EXPECT_EQ(config.layers, 1);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.kv_heads, 1);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.context, 64);
  EXPECT_EQ(config.rope.layout, RopeLayout::kInterleaved);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_EQ(file->format(), "GGUF v3");
  const Tensor* k = file->find("model.layers.0.self_attn.k_proj.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->shape, (Shape{4, 8}));
  EXPECT_EQ(file->find("blk.0.attn_k.weight"), nullptr);
}

TEST(GgufCheckpoint, TakesTheEmbeddingAsOutputWhereThereIsNone) {
  GgufWriter writer = tiny_llama_gguf();
  writer.remove_tensor("output.weight");
  const Opened file(writer);
  expect_ok(file.result());
  EXPECT_TRUE(file->config().tied_embeddings);
}

TEST(GgufCheckpoint, ReadsADeepseekV3WithSplitMlaProjections) {
  const Opened file(tiny_deepseek_gguf());
  expect_ok(file.result());
  const ModelConfig& config = file->config();
  EXPECT_EQ(config.family, Family::kDeepseekV3);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.kv_heads, 2) << "1 is the absorbed form's";
  EXPECT_EQ(config.head_dim, 5);
  EXPECT_EQ(config.mla.kv_lora_rank, 6);
  EXPECT_EQ(config.mla.q_lora_rank, 0);
  EXPECT_EQ(config.mla.nope_head_dim, 3);
  EXPECT_EQ(config.mla.rope_head_dim, 2);
  EXPECT_EQ(config.mla.v_head_dim, 3);
  EXPECT_EQ(config.moe.scoring, RouterScoring::kSigmoid);
  EXPECT_TRUE(config.moe.correction_bias);
  EXPECT_TRUE(config.moe.group_score_top2);
  EXPECT_TRUE(config.moe.normalize_weights);
  EXPECT_EQ(config.moe.groups, 2);
  EXPECT_EQ(config.moe.groups_per_token, 1);
  EXPECT_FLOAT_EQ(config.moe.weight_scale, 2.5F);
  const Tensor* k_b = file->find("model.layers.0.self_attn.k_b_proj.weight");
  ASSERT_NE(k_b, nullptr);
  EXPECT_EQ(k_b->shape, (Shape{2, 6, 3}));
  const Tensor* first = file->find("model.layers.0.mlp.experts.0.down_proj.weight");
  const Tensor* last = file->find("model.layers.0.mlp.experts.3.down_proj.weight");
  ASSERT_NE(first, nullptr);
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->shape, (Shape{8, 4}));
  EXPECT_EQ(last->data - first->data, 3 * last->bytes);
}

TEST(GgufCheckpoint, ReadsTheOlderMlaLayout) {
  GgufWriter writer = tiny_deepseek_gguf();
  writer.remove("deepseek2.attention.key_length_mla");
  writer.remove("deepseek2.attention.value_length_mla");
  writer.set_int("deepseek2.attention.head_count_kv", 2);
  writer.set_int("deepseek2.attention.key_length", 5);
  writer.set_int("deepseek2.attention.value_length", 3);
  writer.remove_tensor("blk.0.attn_k_b.weight");
  writer.remove_tensor("blk.0.attn_v_b.weight");
  writer.add_f32("blk.0.attn_kv_b.weight", {6, 12});
  const Opened file(writer);
  expect_ok(file.result());
  EXPECT_EQ(file->config().mla.nope_head_dim, 3);
  EXPECT_EQ(file->config().mla.v_head_dim, 3);
  EXPECT_NE(file->find("model.layers.0.self_attn.kv_b_proj.weight"), nullptr);
}

TEST(GgufCheckpoint, AcceptsSplitMlaProjectionsStoredAsMatrices) {
  GgufWriter writer = tiny_deepseek_gguf();
  writer.add_f32("blk.0.attn_k_b.weight", {3, 12});
  writer.add_f32("blk.0.attn_v_b.weight", {6, 6});
  const Opened file(writer);
  expect_ok(file.result());
  EXPECT_EQ(file->find("model.layers.0.self_attn.v_b_proj.weight")->shape, (Shape{2, 3, 6}));
}

TEST(GgufCheckpoint, TakesDeepseek2WithoutSigmoidAsV2) {
  GgufWriter writer = tiny_deepseek_gguf();
  writer.remove("deepseek2.expert_gating_func");
  writer.remove_tensor("blk.0.exp_probs_b.bias");
  const Opened file(writer);
  expect_ok(file.result());
  EXPECT_EQ(file->config().family, Family::kDeepseekV2);
  EXPECT_EQ(file->config().moe.scoring, RouterScoring::kSoftmax);
  EXPECT_FALSE(file->config().moe.correction_bias);
  EXPECT_FALSE(file->config().moe.group_score_top2);
}

TEST(GgufCheckpoint, ReadsYarnAsDeepseekMeansIt) {
  GgufWriter writer = tiny_deepseek_gguf();
  writer.set_string("deepseek2.rope.scaling.type", "yarn");
  writer.set_float("deepseek2.rope.scaling.factor", 40);
  writer.set_int("deepseek2.rope.scaling.original_context_length", 4096);
  writer.set_float("deepseek2.rope.scaling.yarn_log_multiplier", 0.0707F);
  const Opened file(writer);
  expect_ok(file.result());
  const RopeConfig& rope = file->config().rope;
  EXPECT_EQ(rope.scaling, RopeScaling::kYarn);
  EXPECT_FLOAT_EQ(rope.factor, 40);
  EXPECT_EQ(rope.original_context, 4096);
  EXPECT_FLOAT_EQ(rope.attention_factor, 1);
  // DeepSeek-V2-Lite's yarn_get_mscale(40, 0.707).
  EXPECT_NEAR(rope.softmax_mscale, 1.2608038, 1e-6);
}

TEST(GgufCheckpoint, ReadsLinearRopeScaling) {
  GgufWriter writer = tiny_llama_gguf();
  writer.set_float("llama.rope.freq_base", 100000);
  writer.set_string("llama.rope.scaling.type", "linear");
  writer.set_float("llama.rope.scaling.factor", 4);
  const Opened file(writer);
  expect_ok(file.result());
  EXPECT_EQ(file->config().rope.scaling, RopeScaling::kLinear);
  EXPECT_FLOAT_EQ(file->config().rope.factor, 4);
  EXPECT_FLOAT_EQ(file->config().rope.theta, 100000);
}

TEST(GgufCheckpoint, ReadsRopeFactorsOfLlama3) {
  GgufWriter writer = tiny_llama_gguf();
  writer.add_f32("rope_freqs.weight", {2});
  writer.tensor("rope_freqs.weight").data = Bytes().add(1.0F).add(8.0F).data();
  const Opened file(writer);
  expect_ok(file.result());
  EXPECT_EQ(file->config().rope.frequency_factors, (std::vector<float>{1, 8}));
}

// Metadata of DeepSeek-V3's size; the weights are too many for a test.
Result<ModelConfig> config_of_size(uint32_t layers, uint32_t hidden, uint32_t experts,
                                   uint32_t gating) {
  GgufWriter writer = tiny_deepseek_gguf();
  writer.remove("deepseek2.expert_group_count");
  writer.remove("deepseek2.expert_group_used_count");
  writer.set_int("deepseek2.block_count", layers);
  writer.set_int("deepseek2.embedding_length", hidden);
  writer.set_int("deepseek2.expert_count", experts);
  writer.set_int("deepseek2.expert_gating_func", gating);
  const std::vector<std::byte> bytes = writer.bytes();
  const auto file = parse_gguf(bytes, "x.gguf");
  if (!file) return std::unexpected(file.error());
  return gguf_config(file->metadata, file->tensors);
}

TEST(GgufCheckpoint, KnowsTheExpertGroupsOfFilesThatAreTooOldToSay) {
  const auto v3 = config_of_size(61, 7168, 256, 2);
  expect_ok(v3);
  EXPECT_EQ(v3->moe.groups, 8);
  EXPECT_EQ(v3->moe.groups_per_token, 4);
  const auto v2 = config_of_size(60, 5120, 160, 1);
  expect_ok(v2);
  EXPECT_EQ(v2->moe.groups, 8);
  EXPECT_EQ(v2->moe.groups_per_token, 3);
  const auto other = config_of_size(61, 7168, 384, 2);
  expect_ok(other);
  EXPECT_EQ(other->moe.groups, 1);
  EXPECT_EQ(other->moe.groups_per_token, 1);
}

TEST(GgufCheckpoint, ReadsTheVocabulary) {
  GgufWriter writer = tiny_llama_gguf();
  writer.set_string("tokenizer.ggml.model", "gpt2");
  writer.set_string("tokenizer.ggml.pre", "smollm");
  writer.set_strings("tokenizer.ggml.tokens", {"a", "b", "<|im_end|>", "<|endoftext|>"});
  writer.set_array<int32_t>("tokenizer.ggml.token_type", GgufType::kI32, {1, 1, 3, 3});
  writer.set_strings("tokenizer.ggml.merges", {"a b"});
  writer.set_int("tokenizer.ggml.bos_token_id", 3);
  writer.set_int("tokenizer.ggml.eos_token_id", 2);
  writer.set_int("tokenizer.ggml.unknown_token_id", 0xffffffffU);
  writer.set_bool("tokenizer.ggml.add_bos_token", false);
  writer.set_string("tokenizer.chat_template", "{{ x }}");
  const Opened file(writer);
  expect_ok(file.result());
  ASSERT_TRUE(file->text().gguf.has_value());
  const GgufVocabulary& vocabulary = *file->text().gguf;
  EXPECT_EQ(vocabulary.model, "gpt2");
  EXPECT_EQ(vocabulary.pre_tokenizer, "smollm");
  EXPECT_EQ(vocabulary.tokens.size(), 4U);
  EXPECT_EQ(vocabulary.merges, std::vector<std::string>{"a b"});
  EXPECT_EQ(vocabulary.bos_token, 3);
  EXPECT_EQ(vocabulary.unknown_token, std::nullopt);
  EXPECT_EQ(vocabulary.add_bos, false);
  EXPECT_EQ(vocabulary.add_eos, std::nullopt);
  EXPECT_EQ(file->text().chat_template, "{{ x }}");
  EXPECT_EQ(file->generation().eos_tokens, (std::vector<int32_t>{2, 3}));
}

TEST(GgufCheckpoint, HasNoVocabularyWhereTheFileHasNone) {
  const Opened file(tiny_llama_gguf());
  expect_ok(file.result());
  EXPECT_FALSE(file->text().gguf.has_value());
}

TEST(GgufCheckpoint, RejectsTokenIdsOutsideTheVocabulary) {
  for (const std::string key : {"bos", "eos", "eot", "unknown"}) {
    GgufWriter file = tiny_llama_gguf();
    file.set_int("tokenizer.ggml." + key + "_token_id", 10);
    expect_refused(file, {key + "_token_id is 10", "vocabulary has 10 tokens"});
  }
}

TEST(GgufCheckpoint, RejectsMoreTokensThanTheModelKnows) {
  GgufWriter file = tiny_llama_gguf();
  file.set_strings("tokenizer.ggml.tokens", std::vector<std::string>(11, "t"));
  expect_refused(file, {"has 11 tokens, but the model knows 10"});
}

TEST(GgufCheckpoint, RejectsScoresAndTypesOfAnotherCountThanTokens) {
  GgufWriter scores = tiny_llama_gguf();
  scores.set_strings("tokenizer.ggml.tokens", {"a", "b"});
  scores.set_array<float>("tokenizer.ggml.scores", GgufType::kF32, {0});
  expect_refused(scores, {"tokenizer.ggml.scores has 1 values for 2 tokens"});
  GgufWriter types = tiny_llama_gguf();
  types.set_strings("tokenizer.ggml.tokens", {"a", "b"});
  types.set_array<int32_t>("tokenizer.ggml.token_type", GgufType::kI32, {1, 1, 1});
  expect_refused(types, {"tokenizer.ggml.token_type has 3 values for 2 tokens"});
}

TEST(GgufCheckpoint, RejectsVocabularyArraysOfOtherElementTypes) {
  GgufWriter tokens = tiny_llama_gguf();
  tokens.set_array<uint8_t>("tokenizer.ggml.tokens", GgufType::kU8, {1, 2});
  expect_refused(tokens, {"tokenizer.ggml.tokens should be an array of strings", "array of u8"});
  GgufWriter scores = tiny_llama_gguf();
  scores.set_strings("tokenizer.ggml.tokens", {"a", "b"});
  scores.set_strings("tokenizer.ggml.scores", {"a", "b"});
  expect_refused(scores, {"tokenizer.ggml.scores should be an array of numbers"});
  GgufWriter types = tiny_llama_gguf();
  types.set_strings("tokenizer.ggml.tokens", {"a", "b"});
  types.set_array<float>("tokenizer.ggml.token_type", GgufType::kF32, {1, 1});
  expect_refused(types, {"tokenizer.ggml.token_type should be an array of 32-bit integers"});
}

TEST(GgufCheckpoint, RejectsByteTokensThatSpellNoByte) {
  for (const std::string spelling : {"<0xZZ>", "<0x100>", "x", ""}) {
    GgufWriter file = tiny_llama_gguf();
    file.set_strings("tokenizer.ggml.tokens", {spelling});
    file.set_array<int32_t>("tokenizer.ggml.token_type", GgufType::kI32, {6});
    expect_refused(file, {"token 0 is marked as a byte, but is spelled \"" + spelling});
  }
}

TEST(GgufCheckpoint, RejectsAFileWithoutArchitecture) {
  GgufWriter file = tiny_llama_gguf();
  file.remove("general.architecture");
  expect_refused(file, {"x.gguf", "general.architecture is missing"});
}

TEST(GgufCheckpoint, NamesArchitecturesItDoesNotSupport) {
  GgufWriter file = tiny_llama_gguf();
  file.set_string("general.architecture", "mamba\x1b[31m");
  expect_refused(file, {"\"mamba\\x1b[31m\" is not supported", "deepseek2"});
}

TEST(GgufCheckpoint, RejectsMissingSizes) {
  for (const std::string key : {"embedding_length", "block_count", "feed_forward_length",
                                "context_length", "attention.head_count"}) {
    GgufWriter file = tiny_llama_gguf();
    file.remove("llama." + key);
    expect_refused(file, {"llama." + key + " is missing"});
  }
}

TEST(GgufCheckpoint, RejectsSizesOfTheWrongType) {
  GgufWriter file = tiny_llama_gguf();
  file.set_string("llama.block_count", "1");
  expect_refused(file, {"llama.block_count should be an integer", "string"});
}

TEST(GgufCheckpoint, RejectsSizesThatAreZeroOrAbsurd) {
  struct Case {
    std::string key;
    uint64_t value;
    std::string_view message;
  };
  const std::vector<Case> cases{
      {"block_count", 0, "number of layers is 0"},
      {"block_count", 1U << 30, "number of layers is 1073741824"},
      {"embedding_length", 0, "hidden size is 0"},
      {"attention.head_count", 0, "head_count is 0"},
      {"attention.head_count_kv", 0, "number of key-value heads is 0"},
      {"attention.head_count_kv", 3, "number of key-value heads is 3"},
      {"attention.head_count", 3, "cannot be split among 3 heads"},
      {"attention.head_count", uint64_t{1} << 62, "cannot be split"},
      {"feed_forward_length", 0, "intermediate size is 0"},
      {"context_length", 0, "context length is 0"},
      {"nextn_predict_layers", 1, "leave no model"},
      {"expert_count", 8, "llama with 8 experts is not supported"},
  };
  for (const Case& c : cases) {
    GgufWriter file = tiny_llama_gguf();
    file.set_scalar("llama." + c.key, GgufType::kU64, c.value);
    expect_refused(file, {"x.gguf", c.message});
  }
}

TEST(GgufCheckpoint, RejectsImpossibleRouting) {
  struct Case {
    std::string key;
    uint32_t value;
    std::string_view message;
  };
  const std::vector<Case> cases{
      {"expert_used_count", 0, "experts per token is 0"},
      {"expert_used_count", 5, "experts per token is 5, expected 1 to 4"},
      {"expert_used_count", 3, "3 experts per token are more than the 2"},
      {"expert_feed_forward_length", 0, "expert's intermediate size is 0"},
      {"expert_group_count", 3, "cannot be split into 3 equal groups"},
      {"expert_group_count", 0, "number of expert groups is 0"},
      {"expert_group_used_count", 3, "expert groups per token is 3"},
      {"expert_group_count", 4, "cannot be scored by their two best"},
      {"expert_gating_func", 7, "expert_gating_func is 7"},
      {"leading_dense_block_count", 2, "leading dense layers is 2"},
  };
  for (const Case& c : cases) {
    GgufWriter file = tiny_deepseek_gguf();
    file.set_int("deepseek2." + c.key, c.value);
    expect_refused(file, {c.message});
  }
}

TEST(GgufCheckpoint, RejectsImpossibleMlaSizes) {
  struct Case {
    std::string key;
    uint32_t value;
    std::string_view message;
  };
  const std::vector<Case> cases{
      {"attention.kv_lora_rank", 0, "a latent of rank 0"},
      {"rope.dimension_count", 0, "0 of them rotated"},
      {"rope.dimension_count", 5, "make no sense"},
      {"rope.dimension_count", 3, "qk_rope_head_dim) is 3, expected an even number"},
      {"attention.value_length_mla", 0, "v_head_dim) is 0"},
  };
  for (const Case& c : cases) {
    GgufWriter file = tiny_deepseek_gguf();
    file.set_int("deepseek2." + c.key, c.value);
    expect_refused(file, {c.message});
  }
}

TEST(GgufCheckpoint, RejectsNumbersThatAreNotFiniteOrPositive) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {kNan, kInfinity, -1.0F}) {
    for (const std::string key :
         {"rope.freq_base", "rope.scaling.factor", "attention.layer_norm_rms_epsilon"}) {
      GgufWriter file = tiny_llama_gguf();
      file.set_float("llama." + key, value);
      expect_refused(file, {"expected a"});
    }
  }
}

TEST(GgufCheckpoint, RejectsRopeItCannotCompute) {
  GgufWriter longrope = tiny_llama_gguf();
  longrope.set_string("llama.rope.scaling.type", "longrope");
  expect_refused(longrope, {"rope scaling \"longrope\" is not supported"});
  GgufWriter partial = tiny_llama_gguf();
  partial.set_int("llama.rope.dimension_count", 2);
  expect_refused(partial, {"2 rotated elements are not supported"});
  GgufWriter factors = tiny_llama_gguf();
  factors.add_f32("rope_freqs.weight", {3});
  expect_refused(factors, {"rope_freqs.weight has 3 values, expected 2"});
}

TEST(GgufCheckpoint, NamesTheMissingTensorAndItsShape) {
  const GgufWriter whole = tiny_llama_gguf();
  for (const GgufTensorEntry& tensor : whole.tensors) {
    if (tensor.name == "output.weight") continue;  // then the embedding is the output
    GgufWriter file = whole;
    file.remove_tensor(tensor.name);
    expect_refused(file, {"x.gguf", "missing"});
  }
  GgufWriter file = whole;
  file.remove_tensor("blk.0.ffn_down.weight");
  expect_refused(file, {"model.layers.0.mlp.down_proj.weight of shape [8, 16] is missing"});
  GgufWriter router = tiny_deepseek_gguf();
  router.remove_tensor("blk.0.exp_probs_b.bias");
  const Opened without_bias(router);
  expect_ok(without_bias.result());
  EXPECT_FALSE(without_bias->config().moe.correction_bias);
}

TEST(GgufCheckpoint, RejectsShapesThatContradictTheConfiguration) {
  const GgufWriter whole = tiny_llama_gguf();
  for (const GgufTensorEntry& tensor : whole.tensors) {
    if (tensor.name == "token_embd.weight") continue;  // its rows define the vocabulary
    GgufWriter file = whole;
    file.tensor(tensor.name).dims.front() -= 1;
    expect_refused(file, {"has the shape", "but the configuration implies"});
  }
  GgufWriter experts = tiny_deepseek_gguf();
  experts.add_f32("blk.0.ffn_up_exps.weight", {8, 4, 3});
  expect_refused(experts, {"mlp.experts.*.up_proj.weight have the shape [3, 4, 8]", "4 matrices"});
}

TEST(GgufCheckpoint, RejectsWeightsOfTypesThatCannotBeComputedWith) {
  GgufWriter file = tiny_llama_gguf();
  file.tensor("output_norm.weight").type = 26;  // I32
  expect_refused(file, {"model.norm.weight is of type I32, which cannot be a weight"});
}

TEST(GgufCheckpoint, RejectsBiasesThatWouldBeIgnored) {
  GgufWriter file = tiny_llama_gguf();
  file.add_f32("blk.0.ffn_up.bias", {16});
  expect_refused(file, {"model.layers.0.mlp.up_proj.bias is a bias"});
}

TEST(GgufCheckpoint, OpensAllPartsOfASplitModelGivenAnyOfThem) {
  const CheckpointDirectory directory;
  GgufWriter first = tiny_llama_gguf();
  GgufWriter second;
  second.tensors.assign(first.tensors.begin() + 6, first.tensors.end());
  first.tensors.resize(6);
  int part = 0;
  for (GgufWriter* writer : {&first, &second}) {
    writer->set_scalar("split.no", GgufType::kU16, static_cast<uint16_t>(part++));
    writer->set_scalar("split.count", GgufType::kU16, uint16_t{2});
    writer->set_scalar("split.tensors.count", GgufType::kI32, int32_t{12});
  }
  const auto path1 = directory.write("m-00001-of-00002.gguf", first.bytes());
  expect_error(Checkpoint::open(path1), {"part 2 of 2", "m-00002-of-00002.gguf"});
  const auto path2 = directory.write("m-00002-of-00002.gguf", second.bytes());
  for (const auto& path : {path1, path2}) {
    const auto checkpoint = Checkpoint::open(path);
    expect_ok(checkpoint);
    EXPECT_EQ((*checkpoint)->tensors().size(), 12U);
  }
  const auto renamed = directory.write("alone.gguf", first.bytes());
  expect_error(Checkpoint::open(renamed), {"one of 2 parts", "keep the parts together"});
  directory.write("m-00002-of-00002.gguf", first.bytes());
  expect_error(Checkpoint::open(path1), {"is part 1 of a split model, but its name says part 2"});
  second.tensors.pop_back();
  directory.write("m-00002-of-00002.gguf", second.bytes());
  expect_error(Checkpoint::open(path1), {"should have 12 tensors", "have 11"});
}

TEST(GgufCheckpoint, RejectsPathsThatAreNoModel) {
  const CheckpointDirectory directory;
  expect_error(Checkpoint::open(directory.path() / "none.gguf"), {"there is no file", "none.gguf"});
  const auto text = directory.write("readme.txt", "hello");
  expect_error(Checkpoint::open(text), {"readme.txt is not a model", "config.json"});
  expect_error(Checkpoint::open(directory.write("empty.gguf", "")), {"empty.gguf is not a model"});
  expect_error(Checkpoint::open("/dev/null"), {"/dev/null", "device or pipe"});
}

}  // namespace
}  // namespace fathom

// Hugging Face directories as checkpoints.
#include "checkpoint/hf_checkpoint.h"

#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/expect_error.h"
#include "checkpoint/hf_weights.h"
#include "checkpoint/safetensors_file.h"
#include "checkpoint/tiny_checkpoints.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

using Json = nlohmann::json;

TEST(HfCheckpoint, ReadsADirectory) {
  const CheckpointDirectory directory;
  directory.write_tiny_llama();
  directory.write("tokenizer.json", R"({"model": {}})");
  directory.write("tokenizer_config.json", R"({"chat_template": "from config"})");
  directory.write("generation_config.json", R"({"eos_token_id": 4, "top_k": 7})");
  const auto checkpoint = Checkpoint::open(directory.path());
  expect_ok(checkpoint);
  const Checkpoint& c = **checkpoint;
  EXPECT_EQ(c.format(), "safetensors");
  EXPECT_EQ(c.config().family, Family::kLlama);
  EXPECT_EQ(c.config().model_name, directory.path().filename());
  EXPECT_EQ(c.text().tokenizer_json, R"({"model": {}})");
  EXPECT_EQ(c.text().chat_template, "from config");
  EXPECT_EQ(c.generation().eos_tokens, std::vector<int32_t>{4});
  EXPECT_EQ(c.generation().top_k, 7);
  EXPECT_EQ(c.tensors().size(), 12U);
  EXPECT_NE(c.find("model.layers.0.mlp.up_proj.weight"), nullptr);
  EXPECT_EQ(c.find("no.such.tensor"), nullptr);
}

TEST(HfCheckpoint, PrefersATemplateInAFileOfItsOwn) {
  const CheckpointDirectory directory;
  directory.write_tiny_llama();
  directory.write("tokenizer_config.json", R"({"chat_template": "from config"})");
  directory.write("chat_template.json", R"({"chat_template": "from json"})");
  EXPECT_EQ(Checkpoint::open(directory.path()).value()->text().chat_template, "from json");
  directory.write("chat_template.jinja", "from jinja");
  EXPECT_EQ(Checkpoint::open(directory.path()).value()->text().chat_template, "from jinja");
}

// The tiny llama in two shards.
void write_shards(const CheckpointDirectory& directory, Json* index_out = nullptr) {
  directory.write("config.json", tiny_llama_config().dump());
  SafetensorsWriter embedding;
  embedding.add_f32("model.embed_tokens.weight", {10, 8});
  directory.write("a.safetensors", embedding.bytes());
  directory.write("b.safetensors", tiny_llama_weights().bytes());
  Json index{{"weight_map", {{"model.embed_tokens.weight", "a.safetensors"}}}};
  for (const char* name : {"model.norm.weight", "lm_head.weight"}) {
    index["weight_map"][name] = "b.safetensors";
  }
  for (const char* name :
       {"input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj",
        "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    index["weight_map"][fmt::format("model.layers.0.{}.weight", name)] = "b.safetensors";
  }
  directory.write("model.safetensors.index.json", index.dump());
  if (index_out != nullptr) *index_out = index;
}

TEST(HfCheckpoint, TakesEachTensorFromTheShardTheIndexNames) {
  const CheckpointDirectory directory;
  write_shards(directory);
  const auto checkpoint = Checkpoint::open(directory.path());
  expect_ok(checkpoint);
  EXPECT_EQ((*checkpoint)->tensors().size(), 12U);
}

TEST(HfCheckpoint, RejectsAnIndexThatLies) {
  const CheckpointDirectory directory;
  Json index;
  write_shards(directory, &index);
  const auto open_with = [&](const std::string& tensor, const Json& file) {
    Json changed = index;
    changed["weight_map"][tensor] = file;
    directory.write("model.safetensors.index.json", changed.dump());
    return Checkpoint::open(directory.path());
  };
  expect_error(open_with("lm_head.weight", "a.safetensors"),
               {"\"lm_head.weight\" is in \"a.safetensors\", but it is not there"});
  expect_error(open_with("lm_head.weight", "c.safetensors"),
               {"names the shard \"c.safetensors\"", "No such file"});
  for (const Json& file : {Json("../b.safetensors"), Json("/etc/passwd"), Json(".."), Json(3)}) {
    expect_error(open_with("lm_head.weight", file), {"should be in a file beside the index"});
  }
  directory.write("model.safetensors.index.json", "{}");
  expect_error(Checkpoint::open(directory.path()), {"weight_map is missing or empty"});
}

TEST(HfCheckpoint, RejectsDirectoriesThatAreNoModel) {
  const CheckpointDirectory directory;
  expect_error(Checkpoint::open(directory.path()), {"has no config.json"});
  directory.write("model.gguf", "GGUF");
  expect_error(Checkpoint::open(directory.path()), {"It has model.gguf: give that file's path"});
  directory.write("config.json", tiny_llama_config().dump());
  expect_error(Checkpoint::open(directory.path()), {"has neither model.safetensors nor"});
  directory.write("pytorch_model.bin", "");
  expect_error(Checkpoint::open(directory.path()), {"pytorch_model.bin is not supported"});
}

TEST(HfCheckpoint, RejectsADirectoryWithoutPermission) {
  const CheckpointDirectory directory;
  directory.write_tiny_llama();
  std::filesystem::permissions(directory.path(), std::filesystem::perms::none);
  const uid_t user = ::geteuid();
  constexpr uid_t kNobody = 65534;
  // Root may read everything: be somebody else for a moment.
  if (user == 0) {
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  const auto checkpoint = Checkpoint::open(directory.path());
  if (user == 0) {
    ASSERT_EQ(::seteuid(user), 0);
  }
  expect_error(checkpoint, {directory.path().string(), "denied"});
}

TEST(HfCheckpoint, RejectsAConfigThatIsADirectory) {
  const CheckpointDirectory directory;
  std::filesystem::create_directory(directory.path() / "config.json");
  expect_error(Checkpoint::open(directory.path()), {"config.json: it is a directory"});
}

TEST(HfCheckpoint, NamesTheMissingTensorAndItsShape) {
  const CheckpointDirectory directory;
  Json config = tiny_llama_config();
  config["num_hidden_layers"] = 2;
  directory.write("config.json", config.dump());
  directory.write("model.safetensors", tiny_llama_weights().bytes());
  expect_error(
      Checkpoint::open(directory.path()),
      {directory.path().string(), "model.layers.1.input_layernorm.weight of shape [8] is missing"});
}

TEST(HfCheckpoint, RejectsShapesThatContradictTheConfiguration) {
  const CheckpointDirectory directory;
  Json config = tiny_llama_config();
  config["intermediate_size"] = 24;
  directory.write("config.json", config.dump());
  directory.write("model.safetensors", tiny_llama_weights().bytes());
  expect_error(
      Checkpoint::open(directory.path()),
      {"mlp.gate_proj.weight has the shape [16, 8], but the configuration implies [24, 8]"});
}

TEST(HfCheckpoint, RejectsATextFileThatIsTooLarge) {
  const CheckpointDirectory directory;
  directory.write_tiny_llama();
  directory.write("config.json", std::string((4U << 20) + 1, ' '));
  expect_error(Checkpoint::open(directory.path()), {"config.json has 4194305 bytes"});
}

// The tiny llama with an FP8 down_proj of 8 x 16 and the given scales.
Result<std::unique_ptr<Checkpoint>> open_fp8(const CheckpointDirectory& directory,
                                             const std::vector<int64_t>& scale_shape,
                                             const std::vector<float>& scales,
                                             const std::string& scale_type = "F32") {
  directory.write("config.json", tiny_llama_config().dump());
  SafetensorsWriter file;
  file.add_f32("model.embed_tokens.weight", {10, 8});
  file.add_f32("model.norm.weight", {8});
  file.add_f32("lm_head.weight", {10, 8});
  const std::string layer = "model.layers.0.";
  file.add_f32(layer + "input_layernorm.weight", {8});
  file.add_f32(layer + "post_attention_layernorm.weight", {8});
  file.add_f32(layer + "self_attn.q_proj.weight", {8, 8});
  file.add_f32(layer + "self_attn.k_proj.weight", {4, 8});
  file.add_f32(layer + "self_attn.v_proj.weight", {4, 8});
  file.add_f32(layer + "self_attn.o_proj.weight", {8, 8});
  file.add_f32(layer + "mlp.gate_proj.weight", {16, 8});
  file.add_f32(layer + "mlp.up_proj.weight", {16, 8});
  const std::vector<std::byte> ones(128, std::byte{0x38});  // 1.0 in E4M3
  file.add(layer + "mlp.down_proj.weight", "F8_E4M3", {8, 16}, ones);
  file.add("odd", "U8", {1}, std::vector<std::byte>(1));  // so that the scales are not aligned
  if (!scales.empty()) {
    Bytes bytes;
    for (const float scale : scales) bytes.add(scale);
    file.add(layer + "mlp.down_proj.weight_scale_inv", scale_type, scale_shape, bytes.data());
  }
  directory.write("model.safetensors", file.bytes());
  return Checkpoint::open(directory.path());
}

TEST(HfCheckpoint, AttachesTheScalesOfFp8Blocks) {
  const CheckpointDirectory directory;
  const auto checkpoint = open_fp8(directory, {1, 1}, {0.25F});
  expect_ok(checkpoint);
  const Tensor* weight = (*checkpoint)->find("model.layers.0.mlp.down_proj.weight");
  ASSERT_NE(weight, nullptr);
  ASSERT_NE(weight->block_scales, nullptr);
  std::vector<float> row(16);
  dequantize_rows(*weight, 7, 1, row.data());
  EXPECT_EQ(row, std::vector<float>(16, 0.25F));
}

TEST(HfCheckpoint, RejectsFp8WeightsWithWrongScales) {
  const CheckpointDirectory directory;
  expect_error(open_fp8(directory, {}, {}),
               {"mlp.down_proj.weight is of type F8E4M3, but its scales", "are missing"});
  expect_error(open_fp8(directory, {2, 1}, {1, 1}), {"shape [2, 1], expected F32 of shape [1, 1]"});
  expect_error(open_fp8(directory, {1, 1}, {1}, "I32"), {"I32 of shape [1, 1]"});
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  expect_error(open_fp8(directory, {1, 1}, {kNan}), {"mlp.down_proj.weight_scale_inv", "NaN"});
  expect_error(open_fp8(directory, {1, 1}, {kInfinity}), {"infinite in row 0"});
}

TEST(HfCheckpoint, CutsFusedExpertsIntoOneTensorEach) {
  const std::vector<std::byte> bytes = [] {
    SafetensorsWriter file;
    Bytes data;
    for (int i = 0; i < 2 * 4 * 3; ++i) data.add(static_cast<float>(i));
    file.add("model.layers.0.mlp.experts.gate_up_proj", "F32", {2, 4, 3}, data.data());
    return file.bytes();
  }();
  auto tensors = parse_safetensors(bytes, "x");
  expect_ok(tensors);
  const auto prepared = prepare_hf_tensors(*std::move(tensors), "x");
  expect_ok(prepared);
  ASSERT_EQ(prepared->tensors.size(), 4U);
  const Tensor& up = prepared->tensors[3];
  EXPECT_EQ(up.name, "model.layers.0.mlp.experts.1.up_proj.weight");
  EXPECT_EQ(up.shape, (Shape{2, 3}));
  float first = 0;
  dequantize(up.dtype, up.data, 1, &first);
  EXPECT_EQ(first, 18);
}

}  // namespace
}  // namespace fathom

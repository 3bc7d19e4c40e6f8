#include "compress/hf_companions.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "checkpoint/hf_describe.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/output_file.h"
#include "checkpoint/stored_temperature.h"
#include "compress/rearranged_checkpoint.h"
#include "compress/same_tokenizer.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kMostConfig = 4U << 20;

std::string module_of(const std::string& tensor) {
  return tensor.substr(0, tensor.rfind('.'));
}

// Matrices that readers would take to be packed, but for being told.
std::vector<std::string> whole_modules(const std::vector<PlannedTensor>& plan) {
  std::vector<std::string> modules;
  for (const PlannedTensor& tensor : plan) {
    const bool linear = tensor.source->shape.rank() == 2 &&
                        tensor.source->name.ends_with(".weight") &&
                        tensor.role != TensorRole::kEmbedding;
    if (linear && !info(tensor.target).quantized) modules.push_back(module_of(tensor.source->name));
  }
  if (std::ranges::find(modules, "lm_head") == modules.end()) modules.emplace_back("lm_head");
  return modules;
}

Json packed_group(DType type, const Json& targets) {
  const Json weights = {{"num_bits", bits_of(type)},
                        {"type", "int"},
                        {"symmetric", !has_zero_points(type)},
                        {"strategy", "group"},
                        {"group_size", info(type).block_elements},
                        {"block_structure", nullptr},
                        {"dynamic", false},
                        {"actorder", nullptr},
                        {"observer", "minmax"},
                        {"observer_kwargs", Json::object()}};
  return {{"targets", targets},
          {"weights", weights},
          {"input_activations", nullptr},
          {"output_activations", nullptr}};
}

// One group for all linear layers but those that are ignored; or, where they have several types,
// one for each with its layers by name.
Json compressed_tensors(const std::vector<PlannedTensor>& plan) {
  std::map<DType, Json> modules;
  for (const PlannedTensor& tensor : plan) {
    if (!info(tensor.target).quantized) continue;
    modules.try_emplace(tensor.target, Json::array())
        .first->second.push_back(module_of(tensor.source->name));
  }
  Json groups = Json::object();
  for (const auto& [type, names] : modules) {
    groups[fmt::format("group_{}", groups.size())] =
        packed_group(type, modules.size() == 1 ? Json::array({"Linear"}) : names);
  }
  return {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"},
          {"quantization_status", "compressed"},  {"config_groups", groups},
          {"ignore", whole_modules(plan)},        {"kv_cache_scheme", nullptr},
          {"global_compression_ratio", nullptr}};
}

Json awq(DType type, const std::vector<PlannedTensor>& plan) {
  return {{"quant_method", "awq"},
          {"bits", 4},
          {"group_size", info(type).block_elements},
          {"zero_point", true},
          {"version", "gemm"},
          {"modules_to_not_convert", whole_modules(plan)}};
}

// What config.json says of the packed matrices; null where there are none.
Json description(PackedLayout layout, const std::vector<PlannedTensor>& plan) {
  const auto packed = std::ranges::find_if(
      plan, [](const PlannedTensor& tensor) { return info(tensor.target).quantized; });
  if (packed == plan.end()) return nullptr;
  return layout == PackedLayout::kAwq ? awq(packed->target, plan) : compressed_tensors(plan);
}

Status write_text(const fs::path& path, const std::string& text) {
  FATHOM_TRY(OutputFile file, OutputFile::create(path, static_cast<int64_t>(text.size())));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(text))));
  return file.commit();
}

// The type that the embedding has, which transformers computes in.
std::string_view torch_type(const std::vector<PlannedTensor>& plan) {
  const auto embedding = std::ranges::find(plan, TensorRole::kEmbedding, &PlannedTensor::role);
  const DType type = embedding == plan.end() ? DType::kF16 : embedding->target;
  return type == DType::kF32 ? "float32" : type == DType::kBF16 ? "bfloat16" : "float16";
}

bool is_companion(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name == "config.json" || name.ends_with(".index.json")) return false;
  const std::string extension = path.extension().string();
  return extension == ".json" || extension == ".txt" || extension == ".model" ||
         extension == ".jinja" || name.starts_with("LICENSE");
}

Status copy_companions(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    if (!entry.is_regular_file() || !is_companion(entry.path())) continue;
    fs::copy_file(entry.path(), to / entry.path().filename(), fs::copy_options::overwrite_existing,
                  error);
    if (error) break;
  }
  if (error) return fail("{}: cannot be copied: {}", from.string(), error.message());
  return {};
}

std::string tokenizer_config(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  const GgufVocabulary& gguf = *checkpoint.text().gguf;
  Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"clean_up_tokenization_spaces", false},
               {"model_max_length", checkpoint.config().context}};
  const auto name = [&](const char* key, std::optional<int32_t> token) {
    if (token) json[key] = tokenizer.piece(*token);
  };
  name("bos_token", gguf.bos_token);
  name("eos_token", gguf.eos_token);
  name("unk_token", gguf.unknown_token);
  const auto ids = tokenizer.encode("", SpecialText::kPlain, true);
  const bool adds_bos = ids && !ids->empty() && std::optional(ids->front()) == gguf.bos_token;
  json["add_bos_token"] = gguf.add_bos.value_or(adds_bos);
  json["add_eos_token"] = gguf.add_eos.value_or(false);
  if (!checkpoint.text().chat_template.empty()) {
    json["chat_template"] = checkpoint.text().chat_template;
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Status make_companions(const Checkpoint& checkpoint, const fs::path& to) {
  if (checkpoint.text().gguf) {
    FATHOM_TRY(const auto tokenizer, Tokenizer::make(checkpoint.text()));
    FATHOM_TRY(const std::string json, tokenizer->to_json());
    const std::string config = tokenizer_config(checkpoint, *tokenizer);
    TextSource written;
    written.tokenizer_json = json;
    written.tokenizer_config_json = config;
    FATHOM_CHECK(check_same_tokenizer(*tokenizer, written, "tokenizer.json"));
    FATHOM_CHECK(write_text(to / "tokenizer.json", json));
    FATHOM_CHECK(write_text(to / "tokenizer_config.json", config));
  }
  if (const std::string text = hf_generation_json(checkpoint.generation()); !text.empty()) {
    FATHOM_CHECK(write_text(to / "generation_config.json", text));
  }
  FATHOM_TRY(const auto temperature, stored_temperature(checkpoint));
  if (!temperature) return {};
  Json json = {{"temperature", temperature->value}};
  if (!temperature->bias.empty()) json["temperature_bias"] = temperature->bias;
  return write_text(to / "fathom.json", json.dump() + "\n");
}

}  // namespace

Status write_companions(const Checkpoint& checkpoint, const fs::path& to, PackedLayout layout,
                        const QuantizeOptions& options, const std::vector<PlannedTensor>& plan) {
  std::string text;
  if (is_gguf(checkpoint)) {
    FATHOM_CHECK(make_companions(checkpoint, to));
    FATHOM_TRY(text, hf_config_json(checkpoint, torch_type(plan)));
  } else {
    FATHOM_CHECK(copy_companions(checkpoint.path(), to));
    FATHOM_TRY(text, read_text_file(checkpoint.path() / "config.json", kMostConfig));
  }
  FATHOM_TRY(Json config, parse_ordered_json(text, "config.json"));
  if (!config.is_object()) {
    return fail("{} should hold a JSON object", (checkpoint.path() / "config.json").string());
  }
  if (options.method == QuantizeMethod::kNone) {
    config.erase("dtype");
    config["torch_dtype"] = torch_type(plan);
  }
  config.erase("quantization_config");
  if (const Json packed = description(layout, plan); !packed.is_null()) {
    config["quantization_config"] = packed;
  }
  return write_text(to / "config.json", config.dump(2) + "\n");
}

}  // namespace fathom

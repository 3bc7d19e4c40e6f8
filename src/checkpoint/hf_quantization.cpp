#include "checkpoint/hf_quantization.h"

#include <string>
#include <vector>

#include "base/quote.h"
#include "checkpoint/json_fields.h"

namespace fathom {

namespace {

Status check_sizes(const HfQuantization& quantization, std::string_view file) {
  if (quantization.storage == HfStorage::kPackQuantized && quantization.bits == 0) return {};
  if (quantization.bits != 4 && quantization.bits != 8) {
    return fail("{}: weights of {} bits are not supported, only of 4 and 8", file,
                quantization.bits);
  }
  if (quantization.group != -1 && quantization.group < 1) {
    return fail("{}: a group of {} weights makes no sense", file, quantization.group);
  }
  return {};
}

Status read_fp8(const JsonFields& fields) {
  const nlohmann::json* block = fields.find("weight_block_size");
  if (block != nullptr && *block == nlohmann::json::array({128, 128})) return {};
  return fail(
      "{}: FP8 weights are supported in blocks of [128, 128] only, but weight_block_size is {}",
      fields.file(), block == nullptr ? "missing" : in_quotes(block->dump(-1, ' ', true)));
}

// A group of matrices that are stored alike; activations are computed with as they are.
Result<HfQuantization> read_group(const nlohmann::json& described, std::string_view file) {
  HfQuantization result{.storage = HfStorage::kPackQuantized};
  const nlohmann::json* stored = nullptr;
  if (described.is_object()) {
    const auto found = described.find("weights");
    if (found != described.end() && found->is_object()) stored = &*found;
  }
  if (stored == nullptr) return fail("{}: config_groups has no weights", file);
  const JsonFields weights(*stored, file);
  FATHOM_TRY(const auto type, weights.get_string("type"));
  FATHOM_TRY(const auto strategy, weights.get_string("strategy"));
  FATHOM_TRY(const int64_t bits, weights.require_int("num_bits"));
  const std::string how = strategy.value_or("group");
  if (type.value_or("int") != "int" || (how != "group" && how != "channel")) {
    return fail(
        "{}: packed weights of type {} with the strategy {} are not supported, only int "
        "by group or channel",
        file, in_quotes(type.value_or("int")), in_quotes(how));
  }
  result.bits = static_cast<int>(bits);
  result.group = -1;
  if (how == "group") {
    FATHOM_TRY(result.group, weights.require_int("group_size"));
  }
  FATHOM_CHECK(check_sizes(result, file));
  return result;
}

Result<HfQuantization> read_compressed(const JsonFields& fields) {
  FATHOM_TRY(const auto format, fields.get_string("format"));
  if (format != "pack-quantized") {
    return fail("{}: the compressed-tensors format {} is not supported, only pack-quantized",
                fields.file(), in_quotes(format.value_or("")));
  }
  const nlohmann::json* groups = fields.find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->empty()) {
    return fail("{}: config_groups should hold groups of matrices that are stored alike",
                fields.file());
  }
  std::vector<HfQuantization> read;
  for (const auto& [name, described] : groups->items()) {
    FATHOM_TRY(read.emplace_back(), read_group(described, fields.file()));
  }
  if (read.size() == 1) return read.front();
  return HfQuantization{.storage = HfStorage::kPackQuantized};
}

Result<HfQuantization> read_packed(const JsonFields& fields, bool awq) {
  HfQuantization result{.storage = awq ? HfStorage::kAwq : HfStorage::kGptq};
  FATHOM_TRY(const int64_t bits, fields.require_int("bits"));
  result.bits = static_cast<int>(bits);
  FATHOM_TRY(result.group, fields.require_int("group_size"));
  if (awq) {
    FATHOM_TRY(const auto version, fields.get_string("version"));
    if (version.value_or("gemm") != "gemm" && version != "GEMM") {
      return fail("{}: the AWQ layout {} is not supported, only gemm", fields.file(),
                  in_quotes(*version));
    }
    return result;
  }
  FATHOM_TRY(const auto format, fields.get_string("checkpoint_format"));
  if (format.value_or("gptq") != "gptq" && format != "gptq_v2") {
    return fail("{}: the GPTQ format {} is not supported, only gptq and gptq_v2", fields.file(),
                in_quotes(*format));
  }
  result.zeros_less_one = format.value_or("gptq") == "gptq";
  return result;
}

}  // namespace

Result<HfQuantization> read_hf_quantization(const nlohmann::json& config, std::string_view file) {
  const auto stored = config.find("quantization_config");
  if (stored == config.end() || stored->is_null()) return HfQuantization{};
  if (!stored->is_object()) return fail("{}: quantization_config should be an object", file);
  const JsonFields fields(*stored, file);
  FATHOM_TRY(const auto method, fields.get_string("quant_method"));
  HfQuantization result;
  if (method == "fp8") {
    FATHOM_CHECK(read_fp8(fields));
    return HfQuantization{.storage = HfStorage::kFp8};
  }
  if (method == "compressed-tensors") {
    FATHOM_TRY(result, read_compressed(fields));
  } else if (method == "awq" || method == "gptq") {
    FATHOM_TRY(result, read_packed(fields, method == "awq"));
  } else {
    return fail(
        "{}: the quantisation {} is not supported. Use the unquantised or FP8 checkpoint, one "
        "packed by compressed-tensors, AWQ or GPTQ, or a GGUF file",
        file, in_quotes(method.value_or("")));
  }
  FATHOM_CHECK(check_sizes(result, file));
  return result;
}

}  // namespace fathom

// What a Hugging Face config.json says of how its weights are stored (quantization_config), where
// that can be read:
//   fp8                 DeepSeek's, in blocks of 128 x 128
//   compressed-tensors  "pack-quantized": INT4 and INT8 in groups (vLLM's LLM Compressor), also
//                       both in one checkpoint
//   awq                 AutoAWQ's GEMM layout
//   gptq                AutoGPTQ's and GPTQModel's, with their zero points stored less one
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace fathom {

enum class HfStorage { kPlain, kFp8, kPackQuantized, kAwq, kGptq };

struct HfQuantization {
  HfStorage storage = HfStorage::kPlain;
  // bits 0: matrices differ in bits and groups, and each tells its own by the shapes of its parts.
  int bits = 0;
  int64_t group = 0;            // weights of a row that share a scale; -1: all of them
  bool zeros_less_one = false;  // GPTQ's first format
};

// `config` is the whole of config.json. Fails for what cannot be read, with what can.
Result<HfQuantization> read_hf_quantization(const nlohmann::json& config, std::string_view file);

}  // namespace fathom

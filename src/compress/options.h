// What is asked of the quantiser.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace fathom {

enum class QuantizeMethod {
  kNone,     // another plain type
  kRtn,      // round to nearest
  kAwq,      // Lin et al. 2023
  kGptq,     // Frantar et al. 2022
  kAwqGptq,  // AWQ's scales, then GPTQ's rounding
};
constexpr bool moves_scales(QuantizeMethod method) {
  return method == QuantizeMethod::kAwq || method == QuantizeMethod::kAwqGptq;
}
constexpr bool makes_up_errors(QuantizeMethod method) {
  return method == QuantizeMethod::kGptq || method == QuantizeMethod::kAwqGptq;
}
constexpr bool needs_text(QuantizeMethod method) {
  return moves_scales(method) || makes_up_errors(method);
}

struct QuantizeOptions {
  QuantizeMethod method = QuantizeMethod::kRtn;
  DType plain = DType::kF16;       // kNone: what matrices become
  int bits = 4;                    // 4 or 8
  std::optional<DType> type = {};  // GGUF: what matrices become, in place of bits
  int group = 32;                  // weights that share a scale
  bool zero_points = false;        // INT4 only: a group's grid need not be centred on zero
  // The type of embedding and output head; nothing: what suits the method and the format.
  std::optional<DType> embedding = {};
  std::optional<DType> head = {};
  std::vector<std::string> keep = {};  // parts of the names of matrices that stay as they are
  // Mixed precision (GGUF): bits a weight over all matrices, or bytes of the whole file. With
  // zero_points, types with minima are chosen among too. One of them at most.
  std::optional<double> target_bits = {};
  std::optional<int64_t> target_bytes = {};
  bool requantize = false;  // take a source that is quantised already
  bool act_order = false;   // GPTQ: the columns with the largest inputs first
  // Calibration text as token ids, in windows that the model reads separately.
  std::vector<std::vector<int32_t>> calibration = {};
  int threads = 0;
  std::function<bool(double fraction)> on_progress = {};  // false ends the work
  std::function<void(std::string_view)> on_note = {};
};

}  // namespace fathom

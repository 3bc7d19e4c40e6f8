// PEFT's adapter_config.json: the numbers that say how an adapter's matrices are to be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fathom {

struct LoraConfig {
  int64_t rank = 0;
  double alpha = 0;
  bool rank_stabilized = false;  // use_rslora
  // Modules with values of their own: a name, or its end after a dot; "^" stands for its beginning.
  // The first that fits counts.
  std::vector<std::pair<std::string, int64_t>> ranks = {};
  std::vector<std::pair<std::string, double>> alphas = {};

  int64_t rank_of(std::string_view module) const;
  double scale_of(std::string_view module) const;
};

// Fails where the adapter is of another kind, or uses what is not supported, by name.
Result<LoraConfig> read_lora_config(const std::filesystem::path& path);

}  // namespace fathom

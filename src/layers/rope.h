// Rotary position embedding (Su et al. 2021) with the context extensions in use: linear scaling,
// Llama 3's by wavelength, YaRN (Peng et al. 2023) as DeepSeek uses it. Frequencies are computed in
// F32 in the same order as the reference implementations, so that long contexts agree with them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/model_config.h"

namespace fathom {

class RopeTable {
 public:
  // dim: how many elements of a head are rotated (even).
  RopeTable(const RopeConfig& config, int64_t dim);

  int64_t dim() const { return 2 * static_cast<int64_t>(inverse_frequency_.size()); }
  bool interleaved() const { return interleaved_; }

  // out [positions, dim]: dim/2 cosines, then dim/2 sines, both times the attention factor.
  void fill(std::span<const int32_t> positions, float* out) const;

 private:
  std::vector<float> inverse_frequency_;  // radians a token, one for each pair
  float attention_factor_;
  bool interleaved_;
};

}  // namespace fathom

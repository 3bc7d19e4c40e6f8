// The temperature that a checkpoint was calibrated with (fathom calibrate): all its logits are to
// be divided by it before anything else happens to them. Temperature scaling: Guo et al. 2017. It
// may have a bias for positions, because a model that has read little is wrong in another way than
// one that has read much.
//
//   GGUF                    the metadata keys fathom.temperature, F32, and
//                           fathom.temperature_bias, an array of F32; of a split file in its first
//                           part
//   Hugging Face directory  fathom.json beside config.json:
//                           {"temperature": 1.04, "temperature_bias": [0.01, 0.0, -0.02]}
//
// Other programs ignore both, and see the checkpoint as it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// What a stored temperature may be; a model that needs more is broken in another way.
inline constexpr double kLeastTemperature = 0.25;
inline constexpr double kMostTemperature = 4;

struct StoredTemperature {
  double value = 1;
  // Of log(temperature), by how much has been read: element k for the positions 2^k - 1 to
  // 2^(k+1) - 2, counted from 0, the last also for all behind it. Empty: none anywhere.
  std::vector<float> bias = {};

  // Which element a position has, of however many there are.
  static int64_t octave(int64_t position);
  // For the logits that follow the token at `position`.
  double at(int64_t position) const;
};

// Nothing for a checkpoint that was not calibrated. Fails where what is stored is no temperature.
Result<std::optional<StoredTemperature>> stored_temperature(const Checkpoint& checkpoint);

// The checkpoint with the temperature, in place of one that it may have. `output` empty: the
// checkpoint itself; its file gets the new one under a temporary name first, so that it is whole
// whatever happens. Otherwise a copy: a GGUF file (which replaces one of that name), or a
// directory, which must not exist yet. Weights are copied as they are.
Status store_temperature(const Checkpoint& checkpoint, const StoredTemperature& temperature,
                         const std::filesystem::path& output = {});

}  // namespace fathom

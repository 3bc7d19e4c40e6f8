// The temperature that a checkpoint was calibrated with (fathom calibrate): all its logits are to
// be divided by it before anything else happens to them. Temperature scaling: Guo et al. 2017.
//
//   GGUF                    the metadata key fathom.temperature, F32; of a split file in its first
//                           part
//   Hugging Face directory  fathom.json beside config.json: {"temperature": 1.04}
//
// Other programs ignore both, and see the checkpoint as it was.
#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// What a stored temperature may be; a model that needs more is broken in another way.
inline constexpr double kLeastTemperature = 0.25;
inline constexpr double kMostTemperature = 4;

// Nothing for a checkpoint that was not calibrated. Fails where what is stored is no temperature.
Result<std::optional<double>> stored_temperature(const Checkpoint& checkpoint);

// The checkpoint with the temperature, in place of one that it may have. `output` empty: the
// checkpoint itself; its file gets the new one under a temporary name first, so that it is whole
// whatever happens. Otherwise a copy: a GGUF file (which replaces one of that name), or a
// directory, which must not exist yet. Weights are copied as they are.
Status store_temperature(const Checkpoint& checkpoint, double temperature,
                         const std::filesystem::path& output = {});

}  // namespace fathom

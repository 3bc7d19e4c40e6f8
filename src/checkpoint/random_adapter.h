// A LoRA adapter that is on no disk: random matrices for layers of a checkpoint, to judge what
// adapters cost without training any. What they add is nonsense, but small and finite.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/lora_adapter.h"

namespace fathom {

// modules: their names, of layers that adapters may change. Equal seeds make equal adapters.
LoraAdapter random_lora_adapter(const Checkpoint& checkpoint, std::span<const std::string> modules,
                                int64_t rank, uint32_t seed);

}  // namespace fathom

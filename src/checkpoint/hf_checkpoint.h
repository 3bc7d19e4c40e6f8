// A Checkpoint made of a Hugging Face directory: config.json, and model.safetensors or shards with
// model.safetensors.index.json.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

Result<std::unique_ptr<Checkpoint>> open_hf_checkpoint(const std::filesystem::path& directory);

}  // namespace fathom

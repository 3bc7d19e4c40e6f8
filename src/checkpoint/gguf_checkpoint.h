// A Checkpoint made of one GGUF file or all parts of a split one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// `path` may be any part of a split model; the others are looked for beside it.
Result<std::unique_ptr<Checkpoint>> open_gguf_checkpoint(const std::filesystem::path& path);

// The same for a whole, unsplit file in memory, which must outlive the result. `file` names it.
Result<std::unique_ptr<Checkpoint>> read_gguf_checkpoint(std::span<const std::byte> bytes,
                                                         const std::string& file);

}  // namespace fathom

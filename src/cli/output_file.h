// A result written to a file the user named: whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace fathom::cli {

// Replaces a regular file in one step; writes straight into what is none (a device or a pipe).
Status write_output_file(const std::filesystem::path& path, std::string_view text);

}  // namespace fathom::cli

// A text file the user named.
#pragma once

#include <string>

#include "base/result.h"

namespace fathom::cli {

// The whole file, or standard input for "-". Fails where it cannot be read or is not UTF-8.
Result<std::string> read_input_file(const std::string& path);

}  // namespace fathom::cli

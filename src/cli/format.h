// Numbers as people read and write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::cli {

std::string count_text(int64_t count);  // "134.5 million", "671.0 billion"

// "1,2,3": whole numbers between commas, nothing else. `what` names the flag in the error.
Result<std::vector<int64_t>> parse_integers(std::string_view text, std::string_view what);

}  // namespace fathom::cli

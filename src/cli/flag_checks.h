// Checks of flags' values that CLI11 would take: it wraps negative numbers around, and what says 0
// is for it the same as what is left out. Each returns what is wrong, or nothing. Any thread.
#pragma once

#include <string>

namespace fathom::cli {

// For numbers where 0 would mean that there is no limit.
std::string not_zero(const std::string& text);
// For seeds, which have 64 bits.
std::string is_seed(const std::string& text);

}  // namespace fathom::cli

// UTF-8 as Python's errors="replace" reads it: each maximal part of an invalid sequence becomes one
// U+FFFD (Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts").
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fathom {

std::string replace_invalid_utf8(std::string_view bytes);

// How many bytes at the end begin a character that further bytes could complete: 0 to 3.
size_t incomplete_utf8_suffix(std::string_view bytes);

}  // namespace fathom

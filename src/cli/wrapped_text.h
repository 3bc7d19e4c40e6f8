// Words in lines of at most a hundred columns. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace fathom::cli {

// "first", filled up to `indent` columns, then the words, whose further lines begin there too. Ends
// with a newline. A word that is longer than a line stays whole.
std::string wrapped(std::string_view first, size_t indent, std::string_view words);

}  // namespace fathom::cli

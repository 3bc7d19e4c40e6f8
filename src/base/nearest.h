// Names that a user may have meant.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

// The number of insertions, deletions and replacements that make one of the other (Levenshtein).
size_t edits_between(std::string_view a, std::string_view b);
// Up to `count` of the names, the nearest first; of equally near ones the first in the alphabet.
std::vector<std::string> nearest_names(std::string_view wanted, std::vector<std::string> names,
                                       size_t count);

}  // namespace fathom

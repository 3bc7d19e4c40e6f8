#include "cli/flag_checks.h"

#include <charconv>
#include <cstdint>
#include <system_error>

namespace fathom::cli {

std::string not_zero(const std::string& text) {
  const char* const end = text.data() + text.size();
  double value = 1;
  const auto read = std::from_chars(text.data(), end, value);
  return read.ptr == end && value == 0 ? text + " is too few; leave the flag out, or say more" : "";
}

std::string is_seed(const std::string& text) {
  if (text.starts_with('-')) return text + " is negative";
  uint64_t seed = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), seed);
  return end.ec == std::errc::result_out_of_range ? text + " is more than 64 bits hold"
                                                  : std::string();
}

}  // namespace fathom::cli

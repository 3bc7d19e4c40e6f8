#include "base/quote.h"

#include <fmt/format.h>

namespace fathom {

std::string in_quotes(std::string_view text) {
  constexpr size_t kMost = 120;
  std::string result = "\"";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  result += text.size() > kMost ? "...\"" : "\"";
  return result;
}

}  // namespace fathom

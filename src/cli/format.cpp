#include "cli/format.h"

#include <charconv>
#include <system_error>

namespace fathom::cli {

std::string count_text(int64_t count) {
  if (count >= 1'000'000'000)
    return fmt::format("{:.1f} billion", static_cast<double>(count) / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} million", static_cast<double>(count) / 1e6);
  return fmt::format("{}", count);
}

Result<std::vector<int64_t>> parse_integers(std::string_view text, std::string_view what) {
  std::vector<int64_t> numbers;
  for (std::string_view rest = text; true;) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (error != std::errc() || end != item.data() + item.size()) {
      return usage_error(
          "{} is \"{}\"; it must be whole numbers separated by commas, such as 1,2,3.", what, text);
    }
    numbers.push_back(number);
    if (comma == std::string_view::npos) return numbers;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace fathom::cli

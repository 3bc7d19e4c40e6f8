#include "cli/wrapped_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace fathom::cli {
namespace {

constexpr size_t kColumns = 98;

}  // namespace

std::string wrapped(std::string_view first, size_t indent, std::string_view words) {
  std::string out = fmt::format("{:<{}}", first, indent);
  size_t column = indent;
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(end + 1, words.size()));
    if (column > indent && column + 1 + word.size() > kColumns) {
      out += fmt::format("\n{:<{}}", "", indent);
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
  return out;
}

}  // namespace fathom::cli

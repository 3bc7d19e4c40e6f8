#include "base/json_lines.h"

#include <algorithm>

#include "base/json.h"

namespace fathom {
namespace {

Status read_line(std::string_view line, FunctionRef<Status(const nlohmann::json&)> read) {
  FATHOM_TRY(const nlohmann::json object, parse_json(line, "the line"));
  if (!object.is_object()) return fail("the line is no JSON object");
  return read(object);
}

}  // namespace

Status read_json_lines(std::string_view text, std::string_view file,
                       FunctionRef<Status(const nlohmann::json&)> read) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (const Status done = read_line(line, read); !done) {
      std::string_view why = done.error().message;
      while (why.ends_with('.')) why.remove_suffix(1);
      return fail("{}, line {}: {}.", file, number, why);
    }
  }
  return {};
}

}  // namespace fathom

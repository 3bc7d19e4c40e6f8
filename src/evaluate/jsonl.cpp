#include "evaluate/jsonl.h"

#include <charconv>
#include <fstream>

#include "base/json.h"

namespace fathom {

using Json = nlohmann::json;

namespace {

// An object's member or an array's element; null: there is none.
const Json* step(const Json& at, std::string_view name) {
  if (at.is_object()) {
    const auto found = at.find(name);
    return found == at.end() ? nullptr : &*found;
  }
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (!at.is_array() || error != std::errc() || end != name.data() + name.size()) return nullptr;
  return index < at.size() ? &at[index] : nullptr;
}

}  // namespace

Result<const Json*> JsonLine::find(std::string_view path) const {
  const Json* at = &object_;
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    at = step(*at, rest.substr(0, dot));
    if (at == nullptr) return fail("{}: there is no {}.", where_, path);
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  return at;
}

Result<std::string> JsonLine::text(std::string_view path) const {
  FATHOM_TRY(const Json* value, find(path));
  if (!value->is_string()) return fail("{}: {} must be a text.", where_, path);
  return value->get<std::string>();
}

Result<int64_t> JsonLine::integer(std::string_view path) const {
  FATHOM_TRY(const Json* value, find(path));
  if (!value->is_number_integer()) return fail("{}: {} must be a whole number.", where_, path);
  return value->get<int64_t>();
}

Result<bool> JsonLine::boolean(std::string_view path) const {
  FATHOM_TRY(const Json* value, find(path));
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number_integer() && (*value == 0 || *value == 1)) return *value == 1;
  return fail("{}: {} must be true or false.", where_, path);
}

Result<const Json*> JsonLine::array(std::string_view path) const {
  FATHOM_TRY(const Json* value, find(path));
  if (!value->is_array()) return fail("{}: {} must be an array.", where_, path);
  return value;
}

Result<std::vector<JsonLine>> read_jsonl(const std::filesystem::path& path, size_t most) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail("{} cannot be read.", path.string());
  std::vector<JsonLine> lines;
  std::string line;
  for (size_t number = 1; lines.size() < most && std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", path.string(), number);
    FATHOM_TRY(Json object, parse_json(line, where));
    if (!object.is_object()) return fail("{} must be a JSON object.", where);
    lines.emplace_back(std::move(object), where);
  }
  if (file.bad()) return fail("{} cannot be read.", path.string());
  if (lines.empty()) return fail("{} has no questions in it.", path.string());
  return lines;
}

}  // namespace fathom

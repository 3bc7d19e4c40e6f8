#include "serve/fields.h"

#include <algorithm>
#include <cmath>

#include "base/quote.h"

namespace fathom::serve {
namespace {

constexpr size_t kMostFields = 256;

}  // namespace

std::string_view kind_of(const nlohmann::ordered_json& value) {
  if (value.is_null()) return "null";
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  return value.is_number_integer() ? "an integer" : "a number";
}

ApiResult<Fields> Fields::of(const Json& value, std::string prefix) {
  const std::string name = prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1);
  const std::string_view shown = name.empty() ? "The request body" : std::string_view(name);
  if (!value.is_object()) {
    return bad_request(name, "{} must be an object, not {}.", shown, kind_of(value));
  }
  // Finding a field takes time in proportion to their number.
  if (value.size() > kMostFields) {
    return bad_request(name, "{} has {} fields, more than this server knows.", shown, value.size());
  }
  return Fields(value, std::move(prefix));
}

const Fields::Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

ApiResult<std::optional<double>> Fields::number(std::string_view name, double low, double high) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    return bad_request(path(name), "{} must be a number, not {}.", path(name), kind_of(*value));
  }
  const double number = value->get<double>();
  if (!std::isfinite(number) || number < low || number > high) {
    return bad_request(path(name), "{} must be {} to {}, not {}.", path(name), low, high,
                       value->dump());
  }
  return number;
}

ApiResult<std::optional<int64_t>> Fields::integer(std::string_view name, int64_t low,
                                                  int64_t high) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) {
    return bad_request(path(name), "{} must be an integer, not {}.", path(name), kind_of(*value));
  }
  const bool too_large =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (too_large || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    return bad_request(path(name), "{} must be {} to {}, not {}.", path(name), low, high,
                       value->dump());
  }
  return value->get<int64_t>();
}

ApiResult<std::optional<bool>> Fields::boolean(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    return bad_request(path(name), "{} must be true or false, not {}.", path(name),
                       kind_of(*value));
  }
  return value->get<bool>();
}

ApiResult<std::optional<std::string>> Fields::string(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    return bad_request(path(name), "{} must be a string, not {}.", path(name), kind_of(*value));
  }
  return value->get<std::string>();
}

ApiStatus Fields::only(std::string_view name, std::initializer_list<Json> accepted) {
  const Json* value = find(name);
  if (value == nullptr || std::ranges::find(accepted, *value) != accepted.end()) return {};
  return bad_request(path(name), "{} is not supported by this server{}.", path(name),
                     accepted.size() == 0 ? "" : " with that value");
}

ApiStatus Fields::unknown() const {
  for (const auto& [name, value] : object_->items()) {
    if (!known_.contains(name)) {
      return bad_request(path(name), "{} is no field that this server knows. Remove it.",
                         in_quotes(path(name)));
    }
  }
  return {};
}

}  // namespace fathom::serve

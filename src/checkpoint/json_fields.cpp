#include "checkpoint/json_fields.h"

#include "base/quote.h"

namespace fathom {

const nlohmann::json* JsonFields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::unexpected<Error> JsonFields::wrong(std::string_view name, std::string_view wanted) const {
  return fail("{}: {} should be {}, but is {}", file_, name, wanted,
              in_quotes(find(name)->dump(-1, ' ', true)));
}

Result<std::optional<int64_t>> JsonFields::get_int(std::string_view name) const {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const bool too_large =
      value->is_number_unsigned() &&
      value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!value->is_number_integer() || too_large) return wrong(name, "a whole number");
  return value->get<int64_t>();
}

Result<std::optional<double>> JsonFields::get_float(std::string_view name) const {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return wrong(name, "a number");
  return value->get<double>();
}

Result<std::optional<bool>> JsonFields::get_bool(std::string_view name) const {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return wrong(name, "true or false");
  return value->get<bool>();
}

Result<std::optional<std::string>> JsonFields::get_string(std::string_view name) const {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong(name, "a string");
  return value->get<std::string>();
}

Result<int64_t> JsonFields::require_int(std::string_view name) const {
  FATHOM_TRY(const auto value, get_int(name));
  if (!value) return fail("{}: {} is missing", file_, name);
  return *value;
}

Result<int64_t> JsonFields::int_or(std::string_view name, int64_t otherwise) const {
  FATHOM_TRY(const auto value, get_int(name));
  return value.value_or(otherwise);
}

Result<float> JsonFields::float_or(std::string_view name, double otherwise) const {
  FATHOM_TRY(const auto value, get_float(name));
  return static_cast<float>(value.value_or(otherwise));
}

Result<bool> JsonFields::bool_or(std::string_view name, bool otherwise) const {
  FATHOM_TRY(const auto value, get_bool(name));
  return value.value_or(otherwise);
}

}  // namespace fathom

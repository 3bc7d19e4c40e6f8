// Reads the fields of a JSON object with their types and ranges. Every field that is read, or
// refused by name, is known; unknown() finds one that nobody asked for, so that nothing a client
// wanted is ignored in silence. JSON's null counts as absent, as in OpenAI's API.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "serve/api_error.h"

namespace fathom::serve {

class Fields {
 public:
  using Json = nlohmann::ordered_json;

  // prefix: put before names in errors ("messages[2]."). The object must outlive this.
  static ApiResult<Fields> of(const Json& value, std::string prefix = {});

  const Json* find(std::string_view name);  // null if absent
  ApiResult<std::optional<double>> number(std::string_view name, double low, double high);
  ApiResult<std::optional<int64_t>> integer(std::string_view name, int64_t low, int64_t high);
  ApiResult<std::optional<bool>> boolean(std::string_view name);
  ApiResult<std::optional<std::string>> string(std::string_view name);

  // Fails if the field has any value but those: for what other servers can do and we cannot.
  ApiStatus only(std::string_view name, std::initializer_list<Json> accepted);
  ApiStatus unknown() const;

  std::string path(std::string_view name) const { return prefix_ + std::string(name); }

 private:
  Fields(const Json& object, std::string prefix) : object_(&object), prefix_(std::move(prefix)) {}

  const Json* object_;
  std::string prefix_;
  std::set<std::string, std::less<>> known_;
};

// "an object", "text", ...: for errors.
std::string_view kind_of(const nlohmann::ordered_json& value);

}  // namespace fathom::serve

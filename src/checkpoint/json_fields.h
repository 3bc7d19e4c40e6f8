// Typed access to the members of a JSON object from a file, with errors that name the file and the
// member. A member that is null counts as missing, as it does in Hugging Face's configs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom {

class JsonFields {
 public:
  // Both must outlive this. `object` must be an object.
  JsonFields(const nlohmann::json& object, std::string_view file) : object_(object), file_(file) {}

  const nlohmann::json* find(std::string_view name) const;
  bool has(std::string_view name) const { return object_.contains(name); }  // even if null
  std::string_view file() const { return file_; }

  Result<std::optional<int64_t>> get_int(std::string_view name) const;
  Result<std::optional<double>> get_float(std::string_view name) const;
  Result<std::optional<bool>> get_bool(std::string_view name) const;
  Result<std::optional<std::string>> get_string(std::string_view name) const;

  Result<int64_t> require_int(std::string_view name) const;
  Result<int64_t> int_or(std::string_view name, int64_t otherwise) const;
  Result<float> float_or(std::string_view name, double otherwise) const;
  Result<bool> bool_or(std::string_view name, bool otherwise) const;

 private:
  std::unexpected<Error> wrong(std::string_view name, std::string_view wanted) const;

  const nlohmann::json& object_;
  std::string_view file_;
};

}  // namespace fathom

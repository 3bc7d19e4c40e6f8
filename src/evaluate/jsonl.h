// Files of one JSON object a line.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace fathom {

// One object, with errors that name the file, the line and the member.
class JsonLine {
 public:
  JsonLine(nlohmann::json object, std::string where)
      : object_(std::move(object)), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  const nlohmann::json& object() const { return object_; }
  // A member's member: text("passage.text"); of an array by its index, from 0: "choices.1".
  Result<std::string> text(std::string_view path) const;
  Result<int64_t> integer(std::string_view path) const;
  Result<bool> boolean(std::string_view path) const;
  Result<const nlohmann::json*> array(std::string_view path) const;
  Result<const nlohmann::json*> find(std::string_view path) const;
  // For an object within this one.
  JsonLine inner(const nlohmann::json& object) const { return {object, where_}; }

 private:
  nlohmann::json object_;
  std::string where_;
};

// Stops at `most` lines; empty ones do not count.
Result<std::vector<JsonLine>> read_jsonl(const std::filesystem::path& path, size_t most = SIZE_MAX);

}  // namespace fathom

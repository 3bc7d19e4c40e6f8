// The key-value pairs of a GGUF file. Values stay in the file: a value is a type and the bytes it
// lies in, decoded when asked for. The mapped file must outlive it. Immutable, any thread may read.
//
// A getter fails if the key is there with another type than asked for (files disagree on widths, so
// any number serves for a float and any integer for an integer), and says which; a missing key is
// nullopt or an empty list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace fathom {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
std::string_view name(GgufType type);
// Bytes of one value; 0 for strings and arrays.
size_t byte_size(GgufType type);

struct GgufValue {
  GgufType type = GgufType::kU8;
  GgufType element = GgufType::kU8;  // arrays only
  uint64_t count = 0;                // arrays only
  // A scalar's bytes, a string's characters, an array's elements (strings with their lengths).
  std::span<const std::byte> bytes;
};

class GgufMetadata {
 public:
  explicit GgufMetadata(std::string file) : file_(std::move(file)) {}

  // False if the key was there already.
  bool add(std::string key, const GgufValue& value) {
    if (!values_.emplace(key, value).second) return false;
    keys_.push_back(std::move(key));
    return true;
  }
  const std::vector<std::string>& keys() const { return keys_; }  // in the file's order
  size_t size() const { return values_.size(); }
  const std::string& file() const { return file_; }
  const GgufValue* find(const std::string& key) const;

  Result<std::optional<int64_t>> get_int(const std::string& key) const;
  Result<std::optional<double>> get_float(const std::string& key) const;
  Result<std::optional<bool>> get_bool(const std::string& key) const;
  Result<std::optional<std::string>> get_string(const std::string& key) const;
  Result<std::vector<std::string>> get_strings(const std::string& key) const;
  Result<std::vector<float>> get_floats(const std::string& key) const;
  Result<std::vector<int32_t>> get_ints(const std::string& key) const;

 private:
  std::string file_;  // for messages
  std::unordered_map<std::string, GgufValue> values_;
  std::vector<std::string> keys_;
};

}  // namespace fathom

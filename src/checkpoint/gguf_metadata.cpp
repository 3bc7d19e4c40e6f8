#include "checkpoint/gguf_metadata.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/assert.h"

namespace fathom {

namespace {

struct TypeInfo {
  std::string_view name;
  size_t bytes;
};
constexpr std::array<TypeInfo, 13> kTypes{{{"u8", 1},
                                           {"i8", 1},
                                           {"u16", 2},
                                           {"i16", 2},
                                           {"u32", 4},
                                           {"i32", 4},
                                           {"f32", 4},
                                           {"bool", 1},
                                           {"string", 0},
                                           {"array", 0},
                                           {"u64", 8},
                                           {"i64", 8},
                                           {"f64", 8}}};

template <typename T>
T load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

// nullopt: not an integer, or one beyond int64.
std::optional<int64_t> load_int(GgufType type, const std::byte* data) {
  switch (type) {
    case GgufType::kU8:
      return load<uint8_t>(data);
    case GgufType::kI8:
      return load<int8_t>(data);
    case GgufType::kU16:
      return load<uint16_t>(data);
    case GgufType::kI16:
      return load<int16_t>(data);
    case GgufType::kU32:
      return load<uint32_t>(data);
    case GgufType::kI32:
      return load<int32_t>(data);
    case GgufType::kI64:
      return load<int64_t>(data);
    case GgufType::kU64: {
      const auto value = load<uint64_t>(data);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> load_float(GgufType type, const std::byte* data) {
  if (type == GgufType::kF32) return load<float>(data);
  if (type == GgufType::kF64) return load<double>(data);
  if (const auto integer = load_int(type, data)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::string describe(const GgufValue& value) {
  if (value.type != GgufType::kArray) return std::string(name(value.type));
  return fmt::format("array of {}", name(value.element));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Writers give an empty array whatever element type.
bool is_empty_array(const GgufValue& value) {
  return value.type == GgufType::kArray && value.count == 0;
}

std::unexpected<Error> wrong_type(const std::string& file, const std::string& key,
                                  const GgufValue& value, std::string_view wanted) {
  return fail("{}: the metadata key {} should be {}, but is of type {}", file, key, wanted,
              describe(value));
}

}  // namespace

std::string_view name(GgufType type) {
  return kTypes[static_cast<size_t>(type)].name;
}

size_t byte_size(GgufType type) {
  return kTypes[static_cast<size_t>(type)].bytes;
}

const GgufValue* GgufMetadata::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

Result<std::optional<int64_t>> GgufMetadata::get_int(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto integer = load_int(value->type, value->bytes.data());
  if (!integer) return wrong_type(file_, key, *value, "an integer below 2^63");
  return integer;
}

Result<std::optional<double>> GgufMetadata::get_float(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = load_float(value->type, value->bytes.data());
  if (!number) return wrong_type(file_, key, *value, "a number");
  return number;
}

Result<std::optional<bool>> GgufMetadata::get_bool(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kBool) return wrong_type(file_, key, *value, "a bool");
  return value->bytes[0] != std::byte{0};
}

Result<std::optional<std::string>> GgufMetadata::get_string(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kString) return wrong_type(file_, key, *value, "a string");
  return text_of(value->bytes);
}

Result<std::vector<std::string>> GgufMetadata::get_strings(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::vector<std::string>{};
  if (is_empty_array(*value)) return std::vector<std::string>{};
  if (value->type != GgufType::kArray || value->element != GgufType::kString) {
    return wrong_type(file_, key, *value, "an array of strings");
  }
  std::vector<std::string> strings;
  strings.reserve(value->count);
  std::span<const std::byte> rest = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = load<uint64_t>(rest.data());
    strings.push_back(text_of(rest.subspan(sizeof length, length)));
    rest = rest.subspan(sizeof length + length);
  }
  return strings;
}

Result<std::vector<float>> GgufMetadata::get_floats(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::vector<float>{};
  if (is_empty_array(*value)) return std::vector<float>{};
  const bool numbers = value->type == GgufType::kArray && byte_size(value->element) > 0 &&
                       value->element != GgufType::kBool;
  if (!numbers) return wrong_type(file_, key, *value, "an array of numbers");
  std::vector<float> floats;
  floats.reserve(value->count);
  const size_t stride = byte_size(value->element);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto number = load_float(value->element, value->bytes.data() + i * stride);
    if (!number) return wrong_type(file_, key, *value, "an array of numbers");
    floats.push_back(static_cast<float>(*number));
  }
  return floats;
}

Result<std::vector<int32_t>> GgufMetadata::get_ints(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::vector<int32_t>{};
  if (is_empty_array(*value)) return std::vector<int32_t>{};
  if (value->type != GgufType::kArray || byte_size(value->element) == 0) {
    return wrong_type(file_, key, *value, "an array of integers");
  }
  std::vector<int32_t> ints;
  ints.reserve(value->count);
  const size_t stride = byte_size(value->element);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto integer = load_int(value->element, value->bytes.data() + i * stride);
    if (!integer || *integer < std::numeric_limits<int32_t>::min() ||
        *integer > std::numeric_limits<int32_t>::max()) {
      return wrong_type(file_, key, *value, "an array of 32-bit integers");
    }
    ints.push_back(static_cast<int32_t>(*integer));
  }
  return ints;
}

}  // namespace fathom

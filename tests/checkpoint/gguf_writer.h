// Writes GGUF files for tests, right and wrong ones: every field can be set to a lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/gguf_metadata.h"

namespace fathom {

class Bytes {
 public:
  template <typename T>
  Bytes& add(T value) {
    const size_t at = data_.size();
    data_.resize(at + sizeof value);
    std::memcpy(data_.data() + at, &value, sizeof value);
    return *this;
  }
  Bytes& text(std::string_view text) {
    for (const char c : text) add(c);
    return *this;
  }
  // As GGUF stores it: length, then characters.
  Bytes& string(std::string_view value) { return add<uint64_t>(value.size()).text(value); }
  Bytes& append(std::span<const std::byte> bytes) {
    data_.insert(data_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Bytes& pad_to(size_t alignment) {
    while (data_.size() % alignment != 0) add<uint8_t>(0);
    return *this;
  }
  const std::vector<std::byte>& data() const { return data_; }
  size_t size() const { return data_.size(); }

 private:
  std::vector<std::byte> data_;
};

struct GgufTensorEntry {
  std::string name;
  std::vector<uint64_t> dims;      // fastest first, as in the file
  uint32_t type = 0;               // F32
  std::vector<std::byte> data;     // written at the next aligned offset
  std::optional<uint64_t> offset;  // announced instead of the true one
};

struct GgufWriter {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count;  // announced instead of the true ones
  std::optional<uint64_t> pair_count;
  uint64_t alignment = 32;  // of the writer; general.alignment is the test's to set
  std::vector<std::pair<std::string, std::vector<std::byte>>> pairs;  // key, type and value
  std::vector<GgufTensorEntry> tensors;

  void set_raw(const std::string& key, const Bytes& type_and_value) {
    for (auto& [name, value] : pairs) {
      if (name == key) {
        value = type_and_value.data();
        return;
      }
    }
    pairs.emplace_back(key, type_and_value.data());
  }
  template <typename T>
  void set_scalar(const std::string& key, GgufType type, T value) {
    set_raw(key, Bytes().add(static_cast<uint32_t>(type)).add(value));
  }
  void set_int(const std::string& key, uint32_t value) { set_scalar(key, GgufType::kU32, value); }
  void set_float(const std::string& key, float value) { set_scalar(key, GgufType::kF32, value); }
  void set_bool(const std::string& key, bool value) {
    set_scalar(key, GgufType::kBool, static_cast<uint8_t>(value));
  }
  void set_string(const std::string& key, std::string_view value) {
    set_raw(key, Bytes().add(static_cast<uint32_t>(GgufType::kString)).string(value));
  }
  void set_strings(const std::string& key, const std::vector<std::string>& values) {
    Bytes bytes = array_header(GgufType::kString, values.size());
    for (const std::string& value : values) bytes.string(value);
    set_raw(key, bytes);
  }
  template <typename T>
  void set_array(const std::string& key, GgufType element, const std::vector<T>& values) {
    Bytes bytes = array_header(element, values.size());
    for (const T value : values) bytes.add(value);
    set_raw(key, bytes);
  }
  void remove(const std::string& key) {
    std::erase_if(pairs, [&](const auto& pair) { return pair.first == key; });
  }

  static Bytes array_header(GgufType element, uint64_t count) {
    return Bytes()
        .add(static_cast<uint32_t>(GgufType::kArray))
        .add(static_cast<uint32_t>(element))
        .add(count);
  }

  GgufTensorEntry& tensor(std::string_view name) {
    for (GgufTensorEntry& entry : tensors) {
      if (entry.name == name) return entry;
    }
    return tensors.emplace_back(GgufTensorEntry{std::string(name), {}, 0, {}, {}});
  }
  void remove_tensor(std::string_view name) {
    std::erase_if(tensors, [&](const GgufTensorEntry& entry) { return entry.name == name; });
  }
  // All ones.
  void add_f32(std::string_view name, std::initializer_list<uint64_t> dims) {
    GgufTensorEntry& entry = tensor(name);
    entry.dims = dims;
    uint64_t count = 1;
    for (const uint64_t dim : dims) count *= dim;
    Bytes bytes;
    for (uint64_t i = 0; i < count; ++i) bytes.add(1.0F);
    entry.data = bytes.data();
  }

  std::vector<std::byte> bytes() const {
    Bytes out;
    out.text(magic).add(version);
    out.add<uint64_t>(tensor_count.value_or(tensors.size()));
    out.add<uint64_t>(pair_count.value_or(pairs.size()));
    for (const auto& [key, value] : pairs) out.string(key).append(value);
    Bytes data;
    for (const GgufTensorEntry& entry : tensors) {
      data.pad_to(alignment);
      out.string(entry.name).add(static_cast<uint32_t>(entry.dims.size()));
      for (const uint64_t dim : entry.dims) out.add(dim);
      out.add(entry.type).add<uint64_t>(entry.offset.value_or(data.size()));
      data.append(entry.data);
    }
    out.pad_to(alignment).append(data.data());
    return out.data();
  }
};

}  // namespace fathom

// Writes safetensors files for tests: the header is given as text, so that it can be wrong.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf_writer.h"

namespace fathom {

inline std::vector<std::byte> safetensors_bytes(std::string_view header,
                                                std::span<const std::byte> data) {
  return Bytes().add<uint64_t>(header.size()).text(header).append(data).data();
}

class SafetensorsWriter {
 public:
  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           std::span<const std::byte> data) {
    header_[name] = {{"dtype", dtype},
                     {"shape", shape},
                     {"data_offsets", {data_.size(), data_.size() + data.size()}}};
    data_.append(data);
  }
  // All ones.
  void add_f32(const std::string& name, const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    Bytes bytes;
    for (int64_t i = 0; i < count; ++i) bytes.add(1.0F);
    add(name, "F32", shape, bytes.data());
  }
  std::vector<std::byte> bytes() const { return safetensors_bytes(header_.dump(), data_.data()); }

 private:
  nlohmann::json header_ = {{"__metadata__", {{"format", "pt"}}}};
  Bytes data_;
};

}  // namespace fathom

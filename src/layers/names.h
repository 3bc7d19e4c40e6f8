// Names of a decoder layer's tensors in Hugging Face's convention.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace fathom {

inline std::string layer_name(int64_t layer, std::string_view rest) {
  return fmt::format("model.layers.{}.{}", layer, rest);
}

}  // namespace fathom

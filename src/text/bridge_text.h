// Passing texts to and from text/bridge's C ABI.
#pragma once

#include <string>
#include <string_view>

#include "text/bridge/bridge.h"

namespace fathom {

inline FathomSlice as_slice(std::string_view text) {
  return {text.data(), text.size()};
}

// Takes a text over from the bridge.
inline std::string take_text(FathomText text) {
  std::string taken(text.data == nullptr ? "" : std::string(text.data, text.size));
  fathom_text_free(text);
  return taken;
}

}  // namespace fathom

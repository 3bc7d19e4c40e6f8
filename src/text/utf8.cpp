#include "text/utf8.h"

#include <algorithm>
#include <cstdint>

namespace fathom {
namespace {

struct Sequence {
  size_t size;    // bytes looked at: the whole character, or the maximal part of one
  size_t needed;  // bytes its first byte announces; 0 if that byte begins nothing
  bool valid() const { return needed != 0 && size == needed; }
};

// Reads one character, or what there is of it. `bytes` is not empty.
Sequence read_sequence(std::string_view bytes) {
  auto byte = [&](size_t index) { return static_cast<uint8_t>(bytes[index]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {1, 1};
  // The second byte's range keeps out overlong forms, surrogates and what lies past U+10FFFF.
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  size_t needed = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    needed = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    needed = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    needed = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {1, 0};
  }
  size_t size = 1;
  while (size < needed && size < bytes.size() && byte(size) >= low && byte(size) <= high) {
    ++size;
    low = 0x80;
    high = 0xBF;
  }
  return {size, needed};
}

}  // namespace

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Sequence sequence = read_sequence(bytes);
    text += sequence.valid() ? bytes.substr(0, sequence.size) : std::string_view("\xEF\xBF\xBD");
    bytes.remove_prefix(sequence.size);
  }
  return text;
}

size_t incomplete_utf8_suffix(std::string_view bytes) {
  for (size_t size = 1; size <= std::min<size_t>(3, bytes.size()); ++size) {
    const Sequence sequence = read_sequence(bytes.substr(bytes.size() - size));
    if (sequence.size == size && sequence.needed > size) return size;
  }
  return 0;
}

}  // namespace fathom

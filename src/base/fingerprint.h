// A 64-bit fingerprint of bytes, some GB/s: tells accidental changes (a flipped bit always, others
// but for one in 2^64), not forgeries. The same on every little-endian machine.
//
// What is added in two pieces is not what is added in one: each piece counts with its length.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace fathom {

class Fingerprint {
 public:
  void add(uint64_t word) {
    state_ = std::rotl(state_ ^ word, 29) * 0x9e3779b97f4a7c15ULL;
    state_ ^= state_ >> 32;
  }
  void add(std::span<const std::byte> bytes) {
    add(uint64_t{bytes.size()});
    while (bytes.size() >= sizeof(uint64_t)) {
      add(load(bytes.first(sizeof(uint64_t))));
      bytes = bytes.subspan(sizeof(uint64_t));
    }
    if (!bytes.empty()) add(load(bytes));
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }

  uint64_t value() const { return state_; }

 private:
  static uint64_t load(std::span<const std::byte> bytes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    return word;
  }

  uint64_t state_ = 0x243f6a8885a308d3ULL;
};

}  // namespace fathom

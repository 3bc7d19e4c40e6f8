// The opposite of dequantize.h: values to stored elements, each rounded to the nearest that its
// block can hold. Q4_0, Q4_1 and Q8_0 come out byte for byte as gguf-py's quantiser makes them; K
// types by a search (super_block.h).
//
// GroupCodec is what a quantiser that chooses for itself needs: a group of `size` values
// shares d and m, and a code q in [low, high] stands for d * q + m. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace fathom {

// F32, F16, BF16, all types that have a GroupCodec, and K types.
bool can_encode(DType dtype);

// `elements` (whole blocks) into out. Values must be finite.
void encode(DType dtype, const float* values, int64_t elements, std::byte* out);

struct GroupScale {
  float d = 0;
  float m = 0;

  float value(int code) const { return d * static_cast<float>(code) + m; }
};

class GroupCodec {
 public:
  // Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, I4_*, I4Z_*, I8_128.
  static bool exists(DType dtype);
  // positive: scales of symmetric types are positive, as formats other than GGUF want them; they
  // are the largest magnitude over 7.5, as in compressed-tensors.
  explicit GroupCodec(DType dtype, bool positive = false);

  int64_t size() const { return size_; }  // values of a group
  int64_t bytes() const { return bytes_; }

  // The scale that just covers the values, times `shrink`: below 1 the outermost are clipped and
  // the others fall on a finer grid. Already rounded as it is stored. A scale that
  // underflows is 0, and so are all values then.
  GroupScale fit(std::span<const float> values, float shrink) const;
  // For the codes that values get by `scale`: the scale, with its minimum where there is one, of
  // the least sum of importance * (value - its code's value)^2, rounded as it is stored. A zero
  // point stays. `scale` itself where nothing is determined.
  GroupScale refit(GroupScale scale, std::span<const float> values, const float* importance) const;
  int nearest(GroupScale scale, float value) const;
  // The values of the nearest codes.
  void snap(GroupScale scale, std::span<const float> values, float* out) const;
  void write(GroupScale scale, std::span<const int8_t> codes, std::byte* out) const;
  // The same from a scale and, for types that have one, an integer zero point.
  void write(float d, int zero, std::span<const int8_t> codes, std::byte* out) const;

 private:
  void write_fifth_bits(std::span<const int8_t> codes, std::byte* out) const;
  void write_codes(std::span<const int8_t> codes, std::byte* out) const;

  enum class Offset { kNone, kMinimum, kZeroPoint };
  DType dtype_;
  int64_t size_;
  int64_t bytes_;
  int low_;
  int high_;
  bool positive_;
  Offset offset_ = Offset::kNone;
};

// Whole groups, each with the scale that just covers it.
void encode_groups(const GroupCodec& codec, std::span<const float> values, std::byte* out);

}  // namespace fathom

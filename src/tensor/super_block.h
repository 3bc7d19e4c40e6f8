// Encoding to GGUF's K types (Q2_K to Q6_K): 256 values share one scale d, and with it a scale dmin
// of minima where the type has those; groups of 16 or 32 within them have small whole multiples of
// both.
//   with minima (Q2_K, Q4_K, Q5_K):  d * scale * q - dmin * min     q in 0 .. high
//   symmetric (Q3_K, Q6_K):          d * scale * q                  q in low .. high
// The layouts are those of ggml-common.h (blocks.h); how the numbers are chosen is ours: each
// group's best scale and minimum by weighted least squares over several ranges, then whole
// multiples of common d and dmin, which are fitted to the codes in turn, the multiples improved by
// trying their neighbours. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"
#include "tensor/encode.h"

namespace fathom {

class SuperBlockCodec {
 public:
  static constexpr int64_t kSize = 256;
  static constexpr size_t kMostGroups = 16;

  static bool exists(DType dtype);
  explicit SuperBlockCodec(DType dtype);

  DType dtype() const { return dtype_; }
  int64_t size() const { return kSize; }
  int64_t group() const { return group_; }  // values that share a multiple: 16 or 32
  int64_t bytes() const { return bytes_; }

  // d and dmin as they are stored, and each group's multiples.
  struct Scales {
    float d = 0;
    float dmin = 0;
    std::array<int, kMostGroups> scale{};
    std::array<int, kMostGroups> min{};

    // What a code of the group stands for: GroupScale::value().
    GroupScale of(size_t group) const {
      return {d * static_cast<float>(scale[group]), -(dmin * static_cast<float>(min[group]))};
    }
  };

  // For 256 values: scales that make the sum of importance * (value - its code's value)^2 small.
  // importance may be null: all values matter alike. Values must be finite.
  Scales choose(std::span<const float> values, const float* importance) const;
  int nearest(GroupScale scale, float value) const;
  void write(const Scales& scales, std::span<const int8_t> codes, std::byte* out) const;

  // All of it: 256 values to a block.
  void encode(std::span<const float> values, const float* importance, std::byte* out) const;

  // Whole groups, each on the grid that just covers it, whose scale is no multiple of anything:
  // what rounding costs by and large, at a fraction of choose()'s time.
  void approximate(std::span<const float> values, float* out) const;

 private:
  struct Fit {
    float d = 0;
    float m = 0;  // never positive
    double loss = 0;
  };
  using Weights = std::span<const float>;

  Fit best_fit(std::span<const float> values, Weights weights) const;
  Fit refitted(std::span<const float> values, Weights weights, Fit fit) const;
  double loss(std::span<const float> values, Weights weights, GroupScale scale) const;
  Scales multiples(std::span<const float> values, Weights weights, std::span<const Fit> fits,
                   float stretch) const;
  double improve(std::span<const float> values, Weights weights, Scales& scales) const;
  void refit_common(std::span<const float> values, Weights weights, Scales& scales) const;

  DType dtype_;
  int64_t group_;
  int64_t bytes_;
  int low_ = 0;  // of a code
  int high_;
  int least_scale_ = 0;  // of a multiple
  int most_scale_;
  bool has_min_ = true;
};

// Whole super-blocks, all values alike.
void encode_super_blocks(const SuperBlockCodec& codec, std::span<const float> values,
                         std::byte* out);

}  // namespace fathom

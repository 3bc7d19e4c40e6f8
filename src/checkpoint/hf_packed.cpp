#include "checkpoint/hf_packed.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/quote.h"
#include "tensor/dequantize.h"
#include "tensor/encode.h"

namespace fathom {

namespace {

// A matrix taken apart: what all layouts say, in one form.
struct Codes {
  int64_t rows = 0;
  int64_t width = 0;
  int64_t groups = 0;  // of a row
  int bits = 4;
  std::vector<uint8_t> codes;   // [rows, width]
  std::vector<uint16_t> zeros;  // [rows, groups]; GPTQ's reach one beyond the codes
  std::vector<float> scales;    // [rows, groups]
  std::vector<int32_t> group;   // of each input
};

using Parts = std::map<std::string, const Tensor*, std::less<>>;  // of one matrix, by last name

uint32_t word(const Tensor& tensor, int64_t at) {
  uint32_t value = 0;
  std::memcpy(&value, tensor.data + at * 4, sizeof value);
  return value;
}

class Unpacker {
 public:
  Unpacker(const HfQuantization& quantization, const std::string& source, const std::string& name,
           const Parts& parts)
      : q_(quantization), source_(source), name_(name), parts_(parts) {}

  Result<Codes> read() {
    set_bits(q_.bits);
    group_ = q_.group;
    switch (q_.storage) {
      case HfStorage::kPackQuantized:
        FATHOM_CHECK(read_compressed());
        break;
      case HfStorage::kAwq:
        FATHOM_CHECK(read_awq());
        break;
      default:
        FATHOM_CHECK(read_gptq());
    }
    return std::move(c_);
  }

 private:
  void set_bits(int bits) {
    c_.bits = bits;
    mask_ = (1U << static_cast<unsigned>(bits)) - 1;
    per_word_ = bits == 0 ? 0 : 32 / bits;
  }

  // Where matrices differ: 32-bit words and scales of a row say how many bits and groups.
  Status read_sizes(const Tensor& packed, int64_t width) {
    const auto scales = parts_.find("weight_scale");
    if (scales == parts_.end() || scales->second->shape.rank() != 2) {
      return fail("{}: {} has no weight_scale", source_, name_);
    }
    const int64_t words = packed.shape[1];
    const int64_t groups = scales->second->shape[1];
    if (width < 1 || words < 1 || groups < 1 || width % groups != 0) {
      return fail("{}: {} has rows of {} weights in {} words and {} groups", source_, name_, width,
                  words, groups);
    }
    for (const int bits : {4, 8}) {
      const int64_t per_word = 32 / bits;
      if ((width + per_word - 1) / per_word == words) set_bits(bits);
    }
    if (c_.bits == 0) {
      return fail("{}: {} has {} weights in {} words, neither of 4 nor of 8 bits", source_, name_,
                  width, words);
    }
    group_ = width / groups;
    return {};
  }

  Result<const Tensor*> part(std::string_view last, DType dtype, int64_t rank) const {
    const auto found = parts_.find(last);
    if (found == parts_.end()) {
      return fail("{}: {} has no {}", source_, name_, last);
    }
    const Tensor& tensor = *found->second;
    if (tensor.dtype != dtype || tensor.shape.rank() != rank) {
      return fail("{}: {}.{} is {} of shape {}, expected {} with {} dimensions", source_, name_,
                  last, fathom::name(tensor.dtype), tensor.shape.to_string(), fathom::name(dtype),
                  rank);
    }
    return &tensor;
  }

  Status expect_shape(const Tensor& tensor, int64_t rows, int64_t columns) const {
    if (tensor.shape == Shape{rows, columns}) return {};
    return fail("{}: {} has the shape {}, expected {}", source_, tensor.name,
                tensor.shape.to_string(), Shape({rows, columns}).to_string());
  }

  // Sizes the result; the number of groups follows from the group, or the other way round.
  Status set_shape(int64_t rows, int64_t width) {
    const int64_t group = group_ == -1 ? width : group_;
    if (rows < 1 || width < 1 || width % group != 0) {
      return fail("{}: {} has {} rows of {} weights, which groups of {} do not divide", source_,
                  name_, rows, width, group);
    }
    c_.rows = rows;
    c_.width = width;
    c_.groups = width / group;
    c_.codes.resize(static_cast<size_t>(rows * width));
    c_.zeros.assign(static_cast<size_t>(rows * c_.groups),
                    static_cast<uint16_t>(1U << (c_.bits - 1)));
    c_.scales.resize(static_cast<size_t>(rows * c_.groups));
    c_.group.resize(static_cast<size_t>(width));
    for (int64_t i = 0; i < width; ++i) {
      c_.group[static_cast<size_t>(i)] = static_cast<int32_t>(i / group);
    }
    return {};
  }

  // Scales in any plain type, [rows, groups] or transposed.
  Status read_scales(std::string_view last, bool transposed) {
    const auto found = parts_.find(last);
    if (found == parts_.end()) return fail("{}: {} has no {}", source_, name_, last);
    const Tensor& tensor = *found->second;
    const bool plain =
        tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16;
    if (!plain) {
      return fail("{}: {} is {}, expected F32, F16 or BF16", source_, tensor.name,
                  fathom::name(tensor.dtype));
    }
    FATHOM_CHECK(transposed ? expect_shape(tensor, c_.groups, c_.rows)
                            : expect_shape(tensor, c_.rows, c_.groups));
    std::vector<float> values(c_.scales.size());
    dequantize(tensor.dtype, tensor.data, static_cast<int64_t>(values.size()), values.data());
    if (!transposed) {
      c_.scales = std::move(values);
      return {};
    }
    for (int64_t g = 0; g < c_.groups; ++g) {
      for (int64_t r = 0; r < c_.rows; ++r) {
        c_.scales[static_cast<size_t>(r * c_.groups + g)] =
            values[static_cast<size_t>(g * c_.rows + r)];
      }
    }
    return {};
  }

  Status read_compressed() {
    FATHOM_TRY(const Tensor* packed, part("weight_packed", DType::kI32, 2));
    FATHOM_TRY(const Tensor* shape, part("weight_shape", DType::kI64, 1));
    if (shape->shape[0] != 2) return fail("{}: {} should hold two numbers", source_, shape->name);
    std::array<int64_t, 2> sizes{};
    std::memcpy(sizes.data(), shape->data, sizeof sizes);
    if (c_.bits == 0) FATHOM_CHECK(read_sizes(*packed, sizes[1]));
    const int64_t words = (std::max<int64_t>(sizes[1], 0) + per_word_ - 1) / per_word_;
    FATHOM_CHECK(expect_shape(*packed, sizes[0], words));
    FATHOM_CHECK(set_shape(sizes[0], sizes[1]));
    for (int64_t r = 0; r < c_.rows; ++r) {
      for (int64_t i = 0; i < c_.width; ++i) {
        c_.codes[static_cast<size_t>(r * c_.width + i)] = static_cast<uint8_t>(
            word(*packed, r * words + i / per_word_) >> (i % per_word_ * c_.bits) & mask_);
      }
    }
    FATHOM_CHECK(read_scales("weight_scale", false));
    if (parts_.contains("weight_g_idx")) {
      return fail("{}: {} has inputs in another order (weight_g_idx), which is not supported",
                  source_, name_);
    }
    if (!parts_.contains("weight_zero_point")) return {};
    FATHOM_TRY(const Tensor* zeros, part("weight_zero_point", DType::kI32, 2));
    FATHOM_CHECK(expect_shape(*zeros, (c_.rows + per_word_ - 1) / per_word_, c_.groups));
    for (int64_t r = 0; r < c_.rows; ++r) {
      for (int64_t g = 0; g < c_.groups; ++g) {
        c_.zeros[static_cast<size_t>(r * c_.groups + g)] = static_cast<uint16_t>(
            word(*zeros, r / per_word_ * c_.groups + g) >> (r % per_word_ * c_.bits) & mask_);
      }
    }
    return {};
  }

  Status read_awq() {
    if (q_.bits != 4) {
      return fail("{}: AWQ weights of {} bits are not supported, only of 4", source_, q_.bits);
    }
    constexpr std::array<int64_t, 8> kOrder{0, 2, 4, 6, 1, 3, 5, 7};
    FATHOM_TRY(const Tensor* packed, part("qweight", DType::kI32, 2));
    const int64_t words = packed->shape[1];
    FATHOM_CHECK(set_shape(words * 8, packed->shape[0]));
    for (int64_t i = 0; i < c_.width; ++i) {
      for (int64_t w = 0; w < words; ++w) {
        const uint32_t value = word(*packed, i * words + w);
        for (size_t k = 0; k < 8; ++k) {
          c_.codes[static_cast<size_t>((w * 8 + kOrder[k]) * c_.width + i)] =
              static_cast<uint8_t>(value >> (4 * k) & mask_);
        }
      }
    }
    FATHOM_CHECK(read_scales("scales", true));
    FATHOM_TRY(const Tensor* zeros, part("qzeros", DType::kI32, 2));
    FATHOM_CHECK(expect_shape(*zeros, c_.groups, words));
    for (int64_t g = 0; g < c_.groups; ++g) {
      for (int64_t w = 0; w < words; ++w) {
        const uint32_t value = word(*zeros, g * words + w);
        for (size_t k = 0; k < 8; ++k) {
          c_.zeros[static_cast<size_t>((w * 8 + kOrder[k]) * c_.groups + g)] =
              static_cast<uint16_t>(value >> (4 * k) & mask_);
        }
      }
    }
    return {};
  }

  Status read_gptq() {
    FATHOM_TRY(const Tensor* packed, part("qweight", DType::kI32, 2));
    FATHOM_CHECK(set_shape(packed->shape[1], packed->shape[0] * per_word_));
    for (int64_t i = 0; i < c_.width; ++i) {
      for (int64_t r = 0; r < c_.rows; ++r) {
        c_.codes[static_cast<size_t>(r * c_.width + i)] = static_cast<uint8_t>(
            word(*packed, i / per_word_ * c_.rows + r) >> (i % per_word_ * q_.bits) & mask_);
      }
    }
    FATHOM_CHECK(read_scales("scales", true));
    FATHOM_TRY(const Tensor* zeros, part("qzeros", DType::kI32, 2));
    const int64_t words = (c_.rows + per_word_ - 1) / per_word_;
    FATHOM_CHECK(expect_shape(*zeros, c_.groups, words));
    for (int64_t g = 0; g < c_.groups; ++g) {
      for (int64_t r = 0; r < c_.rows; ++r) {
        const uint32_t stored =
            word(*zeros, g * words + r / per_word_) >> (r % per_word_ * q_.bits) & mask_;
        c_.zeros[static_cast<size_t>(r * c_.groups + g)] =
            static_cast<uint16_t>(stored + (q_.zeros_less_one ? 1U : 0U));
      }
    }
    if (!parts_.contains("g_idx")) return {};
    FATHOM_TRY(const Tensor* order, part("g_idx", DType::kI32, 1));
    if (order->shape[0] != c_.width) {
      return fail("{}: {} has {} entries, expected {}", source_, order->name, order->shape[0],
                  c_.width);
    }
    for (int64_t i = 0; i < c_.width; ++i) {
      const auto group = static_cast<int64_t>(static_cast<int32_t>(word(*order, i)));
      if (group < 0 || group >= c_.groups) {
        return fail("{}: {} names the group {}, but there are {}", source_, order->name, group,
                    c_.groups);
      }
      c_.group[static_cast<size_t>(i)] = static_cast<int32_t>(group);
    }
    return {};
  }

  const HfQuantization& q_;
  const std::string& source_;
  const std::string& name_;
  const Parts& parts_;
  uint32_t mask_ = 0;
  int64_t per_word_ = 0;
  int64_t group_ = 0;
  Codes c_;
};

// The type whose groups hold the codes exactly; nothing: none does.
std::optional<DType> group_type(const Codes& c) {
  const int64_t size = c.width / c.groups;
  for (int64_t i = 0; i < c.width; ++i) {
    if (c.group[static_cast<size_t>(i)] != i / size) return std::nullopt;
  }
  const auto middle = static_cast<uint16_t>(1U << (c.bits - 1));
  const bool symmetric =
      std::ranges::all_of(c.zeros, [&](uint16_t zero) { return zero == middle; });
  // A scale that is no half would change the weights.
  const bool halves = std::ranges::all_of(
      c.scales, [](float scale) { return half_to_float(float_to_half(scale)) == scale; });
  if (!halves) return std::nullopt;
  if (c.bits == 8) {
    if (!symmetric) return std::nullopt;
    if (size == 32) return DType::kQ8_0;
    return size == 128 ? std::optional(DType::kI8_128) : std::nullopt;
  }
  const bool in_range = std::ranges::all_of(c.zeros, [](uint16_t zero) { return zero < 16; });
  if (!in_range) return std::nullopt;
  switch (size) {
    case 32:
      return symmetric ? DType::kQ4_0 : DType::kI4Z_32;
    case 64:
      return symmetric ? DType::kI4_64 : DType::kI4Z_64;
    case 128:
      return symmetric ? DType::kI4_128 : DType::kI4Z_128;
    default:
      return std::nullopt;
  }
}

bool has_zero_point(DType dtype) {
  return dtype == DType::kI4Z_32 || dtype == DType::kI4Z_64 || dtype == DType::kI4Z_128;
}

std::vector<std::byte> to_groups(const Codes& c, DType dtype) {
  const GroupCodec codec(dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(byte_size(dtype, c.rows * c.width)));
  std::vector<int8_t> codes(static_cast<size_t>(codec.size()));
  const int offset = has_zero_point(dtype) ? 0 : 1 << (c.bits - 1);
  std::byte* out = bytes.data();
  for (size_t g = 0; g < c.scales.size(); ++g, out += codec.bytes()) {
    for (size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<int8_t>(c.codes[g * codes.size() + i] - offset);
    }
    codec.write(c.scales[g], c.zeros[g], codes, out);
  }
  return bytes;
}

std::vector<std::byte> to_halves(const Codes& c) {
  std::vector<float> row(static_cast<size_t>(c.width));
  std::vector<std::byte> bytes(static_cast<size_t>(c.rows * c.width) * 2);
  for (int64_t r = 0; r < c.rows; ++r) {
    for (int64_t i = 0; i < c.width; ++i) {
      const auto group = static_cast<size_t>(r * c.groups + c.group[static_cast<size_t>(i)]);
      const int code = c.codes[static_cast<size_t>(r * c.width + i)];
      row[static_cast<size_t>(i)] = static_cast<float>(code - c.zeros[group]) * c.scales[group];
    }
    encode(DType::kF16, row.data(), c.width, bytes.data() + r * c.width * 2);
  }
  return bytes;
}

bool is_packed_part(std::string_view last, HfStorage storage) {
  if (storage == HfStorage::kPackQuantized) {
    return last == "weight_packed" || last == "weight_scale" || last == "weight_zero_point" ||
           last == "weight_shape" || last == "weight_g_idx";
  }
  return last == "qweight" || last == "qzeros" || last == "scales" || last == "g_idx";
}

}  // namespace

Result<UnpackedTensors> unpack_hf_tensors(const std::vector<Tensor>& tensors,
                                          const HfQuantization& quantization,
                                          const std::string& source) {
  UnpackedTensors result;
  std::map<std::string, Parts> matrices;
  for (const Tensor& tensor : tensors) {
    const size_t dot = tensor.name.rfind('.');
    const std::string last = dot == std::string::npos ? "" : tensor.name.substr(dot + 1);
    if (is_packed_part(last, quantization.storage)) {
      matrices[tensor.name.substr(0, dot)][last] = &tensor;
    } else {
      result.tensors.push_back(tensor);
    }
  }
  for (const auto& [name, parts] : matrices) {
    FATHOM_TRY(const Codes codes, Unpacker(quantization, source, name, parts).read());
    const std::optional<DType> type = group_type(codes);
    Tensor tensor;
    tensor.name = name + ".weight";
    tensor.dtype = type.value_or(DType::kF16);
    tensor.shape = {codes.rows, codes.width};
    const auto& bytes =
        result.owned.emplace_back(type ? to_groups(codes, *type) : to_halves(codes));
    tensor.data = bytes.data();
    tensor.bytes = static_cast<int64_t>(bytes.size());
    result.tensors.push_back(std::move(tensor));
  }
  return result;
}

}  // namespace fathom

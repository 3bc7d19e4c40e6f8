#include "compress/packed_matrix.h"

#include <array>
#include <cstring>

#include "tensor/encode.h"

namespace fathom {

namespace {

// The outputs that share a word, from its low bits up.
constexpr std::array<int64_t, 8> kAwqOrder{0, 2, 4, 6, 1, 3, 5, 7};

// The codes of a block in the row's order, offset by half their range where there are no zero
// points.
void read_codes(DType dtype, const std::byte* block, uint8_t* out) {
  const auto elements = static_cast<size_t>(info(dtype).block_elements);
  if (bits_of(dtype) == 8) {
    for (size_t i = 0; i < elements; ++i) {
      out[i] = std::to_integer<uint8_t>(block[2 + i] ^ std::byte{0x80});
    }
    return;
  }
  const std::byte* codes = block + (has_zero_points(dtype) ? 3 : 2);
  for (size_t i = 0; i < elements; ++i) {
    // Q4_0 has its halves in the low and the high bits, our own types neighbours.
    const bool high = dtype == DType::kQ4_0 ? i >= 16 : i % 2 == 1;
    const auto byte = std::to_integer<unsigned>(codes[dtype == DType::kQ4_0 ? i % 16 : i / 2]);
    out[i] = static_cast<uint8_t>(high ? byte >> 4U : byte & 15U);
  }
}

std::vector<uint32_t> packed_across(const std::vector<uint8_t>& values, int64_t rows,
                                    int64_t columns) {
  std::vector<uint32_t> words(static_cast<size_t>(columns * rows / 8));
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t w = 0; w < rows / 8; ++w) {
      uint32_t word = 0;
      for (size_t k = 0; k < kAwqOrder.size(); ++k) {
        const int64_t row = w * 8 + kAwqOrder[k];
        word |= static_cast<uint32_t>(values[static_cast<size_t>(row * columns + c)]) << (4 * k);
      }
      words[static_cast<size_t>(c * rows / 8 + w)] = word;
    }
  }
  return words;
}

}  // namespace

bool has_zero_points(DType dtype) {
  return dtype == DType::kI4Z_32 || dtype == DType::kI4Z_64 || dtype == DType::kI4Z_128;
}

int bits_of(DType dtype) {
  return dtype == DType::kQ8_0 || dtype == DType::kI8_128 ? 8 : 4;
}

std::vector<SafetensorsOutput::Announced> packed_parts(PackedLayout layout, const Tensor& matrix,
                                                       DType type) {
  const int64_t rows = matrix.shape[0];
  const int64_t width = matrix.shape[1];
  const int64_t groups = width / info(type).block_elements;
  if (layout == PackedLayout::kAwq) {
    const std::string module = matrix.name.substr(0, matrix.name.rfind('.'));
    return {{module + ".qweight", DType::kI32, {width, rows / 8}},
            {module + ".qzeros", DType::kI32, {groups, rows / 8}},
            {module + ".scales", DType::kF16, {groups, rows}}};
  }
  const int64_t per_word = 32 / bits_of(type);
  std::vector<SafetensorsOutput::Announced> parts = {
      {matrix.name + "_packed", DType::kI32, {rows, width / per_word}},
      {matrix.name + "_scale", DType::kF16, {rows, groups}},
      {matrix.name + "_shape", DType::kI64, {2}}};
  if (has_zero_points(type)) {
    parts.push_back({matrix.name + "_zero_point", DType::kI32, {(rows + 7) / 8, groups}});
  }
  return parts;
}

Status MatrixPacker::write(SafetensorsOutput& file, int64_t row,
                           std::span<const std::byte> blocks) {
  if (zeros_.empty()) zeros_.resize(static_cast<size_t>(rows_ * groups()), 8);
  if (layout_ == PackedLayout::kAwq) {
    add_codes(row, blocks);
  } else {
    FATHOM_CHECK(write_compressed(file, row, blocks));
  }
  seen_ += static_cast<int64_t>(blocks.size()) / byte_size(type_, width_);
  if (seen_ < rows_) return {};
  return layout_ == PackedLayout::kAwq ? finish_awq(file) : finish_compressed(file);
}

Status MatrixPacker::write_compressed(SafetensorsOutput& file, int64_t row,
                                      std::span<const std::byte> blocks) {
  const auto block = static_cast<size_t>(info(type_).block_bytes);
  std::vector<uint8_t> codes(static_cast<size_t>(info(type_).block_elements));
  std::vector<std::byte> packed;
  std::vector<std::byte> scales;
  packed.reserve(blocks.size());
  scales.reserve(blocks.size() / block * 2);
  auto zero = zeros_.begin() + row * groups();
  for (size_t at = 0; at < blocks.size(); at += block) {
    const std::byte* source = blocks.data() + at;
    read_codes(type_, source, codes.data());
    const size_t step = bits_of(type_) == 8 ? 1 : 2;
    for (size_t i = 0; i < codes.size(); i += step) {
      packed.push_back(
          static_cast<std::byte>(step == 1 ? codes[i] : codes[i] | (codes[i + 1] << 4U)));
    }
    scales.insert(scales.end(), source, source + 2);
    if (has_zero_points(type_)) *zero = std::to_integer<uint8_t>(source[2]);
    ++zero;
  }
  FATHOM_CHECK(file.write(first_, row * width_ * bits_of(type_) / 8, packed));
  return file.write(first_ + 1, row * groups() * 2, scales);
}

Status MatrixPacker::finish_compressed(SafetensorsOutput& file) {
  const std::array<int64_t, 2> shape{rows_, width_};
  FATHOM_CHECK(file.write(first_ + 2, 0, std::as_bytes(std::span(shape))));
  if (!has_zero_points(type_)) return {};
  std::vector<uint32_t> words(static_cast<size_t>((rows_ + 7) / 8 * groups()));
  for (int64_t r = 0; r < rows_; ++r) {
    for (int64_t g = 0; g < groups(); ++g) {
      words[static_cast<size_t>(r / 8 * groups() + g)] |=
          static_cast<uint32_t>(zeros_[static_cast<size_t>(r * groups() + g)])
          << static_cast<unsigned>(r % 8 * 4);
    }
  }
  zeros_ = {};
  return file.write(first_ + 3, 0, std::as_bytes(std::span(words)));
}

void MatrixPacker::add_codes(int64_t row, std::span<const std::byte> blocks) {
  if (codes_.empty()) {
    codes_.resize(static_cast<size_t>(rows_ * width_));
    scales_.resize(static_cast<size_t>(rows_ * groups()));
  }
  const auto block = static_cast<size_t>(info(type_).block_bytes);
  auto at = static_cast<size_t>(row * groups());
  for (size_t byte = 0; byte < blocks.size(); byte += block, ++at) {
    const std::byte* source = blocks.data() + byte;
    read_codes(type_, source, codes_.data() + at * static_cast<size_t>(info(type_).block_elements));
    std::memcpy(&scales_[at], source, sizeof scales_[at]);
    if (has_zero_points(type_)) zeros_[at] = std::to_integer<uint8_t>(source[2]);
  }
}

Status MatrixPacker::finish_awq(SafetensorsOutput& file) {
  const auto words = packed_across(codes_, rows_, width_);
  FATHOM_CHECK(file.write(first_, 0, std::as_bytes(std::span(words))));
  const auto zeros = packed_across(zeros_, rows_, groups());
  FATHOM_CHECK(file.write(first_ + 1, 0, std::as_bytes(std::span(zeros))));
  std::vector<uint16_t> scales(scales_.size());
  for (int64_t r = 0; r < rows_; ++r) {
    for (int64_t g = 0; g < groups(); ++g) {
      scales[static_cast<size_t>(g * rows_ + r)] = scales_[static_cast<size_t>(r * groups() + g)];
    }
  }
  codes_ = {};
  scales_ = {};
  zeros_ = {};
  return file.write(first_ + 2, 0, std::as_bytes(std::span(scales)));
}

}  // namespace fathom

#include "checkpoint/gguf_output.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace fathom {

namespace {

class Bytes {
 public:
  template <typename T>
  void add(T value) {
    const size_t at = data_.size();
    data_.resize(at + sizeof value);
    std::memcpy(data_.data() + at, &value, sizeof value);
  }
  void add(std::span<const std::byte> bytes) {
    data_.insert(data_.end(), bytes.begin(), bytes.end());
  }
  void add_string(std::string_view text) {
    add(static_cast<uint64_t>(text.size()));
    add(std::as_bytes(std::span(text)));
  }
  const std::vector<std::byte>& data() const { return data_; }

 private:
  std::vector<std::byte> data_;
};

void add_value(Bytes& out, const GgufValue& value) {
  out.add(static_cast<uint32_t>(value.type));
  if (value.type == GgufType::kArray) {
    out.add(static_cast<uint32_t>(value.element));
    out.add(value.count);
  } else if (value.type == GgufType::kString) {
    out.add(static_cast<uint64_t>(value.bytes.size()));
  }
  out.add(value.bytes);
}

bool is_dropped(std::string_view key) {
  return key.starts_with("split.") || key.starts_with("quantize.imatrix.");
}

int64_t aligned(int64_t offset, int64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

}  // namespace

std::optional<uint32_t> gguf_type_number(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 6;
    case DType::kQ5_1:
      return 7;
    case DType::kQ8_0:
      return 8;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 11;
    case DType::kQ4_K:
      return 12;
    case DType::kQ5_K:
      return 13;
    case DType::kQ6_K:
      return 14;
    case DType::kBF16:
      return 30;
    default:
      return std::nullopt;
  }
}

Result<GgufOutput> GgufOutput::create(const OutputPlace& place, const GgufMetadata& source,
                                      const std::vector<std::pair<std::string, uint32_t>>& replaced,
                                      const std::vector<Announced>& tensors) {
  const auto is_replaced = [&](const std::string& key) {
    return std::ranges::any_of(replaced, [&](const auto& pair) { return pair.first == key; });
  };
  std::vector<std::string> kept;
  for (const std::string& key : source.keys()) {
    if (!is_dropped(key) && !is_replaced(key)) kept.push_back(key);
  }
  FATHOM_TRY(const auto stored_alignment, source.get_int("general.alignment"));
  const int64_t alignment = stored_alignment.value_or(32);

  Bytes header;
  header.add(std::as_bytes(std::span("GGUF", 4)));
  header.add(uint32_t{3});
  header.add(static_cast<uint64_t>(tensors.size()));
  header.add(static_cast<uint64_t>(kept.size() + replaced.size()));
  for (const std::string& key : kept) {
    header.add_string(key);
    add_value(header, *source.find(key));
  }
  for (const auto& [key, value] : replaced) {
    header.add_string(key);
    header.add(static_cast<uint32_t>(GgufType::kU32));
    header.add(value);
  }
  std::vector<int64_t> offsets;
  int64_t end = 0;
  for (const Announced& tensor : tensors) {
    const auto number = gguf_type_number(tensor.dtype);
    if (!number) {
      return fail("{}: GGUF has no type {} for the tensor {}", place.path.string(),
                  name(tensor.dtype), tensor.name);
    }
    header.add_string(tensor.name);
    header.add(static_cast<uint32_t>(tensor.shape.rank()));
    for (int i = tensor.shape.rank() - 1; i >= 0; --i) {
      header.add(static_cast<uint64_t>(tensor.shape[i]));
    }
    header.add(*number);
    offsets.push_back(aligned(end, alignment));
    header.add(static_cast<uint64_t>(offsets.back()));
    end = offsets.back() + byte_size(tensor.dtype, tensor.shape.elements());
  }
  const int64_t start = aligned(static_cast<int64_t>(header.data().size()), alignment);
  for (int64_t& offset : offsets) offset += start;
  // Readers other than ours want the last tensor padded too.
  const int64_t bytes = aligned(start + end, alignment);
  FATHOM_TRY(OutputFile file, OutputFile::create(place, bytes));
  FATHOM_CHECK(file.write(0, header.data()));
  if (bytes > start) FATHOM_CHECK(file.write(bytes - 1, std::array{std::byte{0}}));
  return GgufOutput(std::move(file), std::move(offsets), bytes);
}

Status GgufOutput::write(size_t index, int64_t offset, std::span<const std::byte> bytes) {
  return file_.write(offsets_[index] + offset, bytes);
}

}  // namespace fathom

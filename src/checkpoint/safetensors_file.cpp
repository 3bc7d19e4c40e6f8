#include "checkpoint/safetensors_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "base/quote.h"

namespace fathom {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxHeaderValues = 2'000'000;
constexpr size_t kMaxNameLength = 512;

struct NamedType {
  std::string_view name;
  DType dtype;
};
constexpr std::array<NamedType, 11> kTypes{{{"F32", DType::kF32},
                                            {"F16", DType::kF16},
                                            {"BF16", DType::kBF16},
                                            {"F8_E4M3", DType::kF8E4M3},
                                            {"F64", DType::kF64},
                                            {"I8", DType::kI8},
                                            {"I16", DType::kI16},
                                            {"I32", DType::kI32},
                                            {"I64", DType::kI64},
                                            {"U8", DType::kU8},
                                            {"BOOL", DType::kBool}}};

// One entry of the header, checked by itself.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& name, const nlohmann::json& entry,
              std::span<const std::byte> data)
      : file_(file), name_(name), entry_(entry), data_(data) {}

  Result<Tensor> read() {
    const bool printable = std::ranges::all_of(
        name_, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '\x7f'; });
    if (name_.empty() || name_.size() > kMaxNameLength || !printable) {
      return fail("{}: {} is not a name for a tensor", file_, in_quotes(name_));
    }
    if (!entry_.is_object()) return wrong("is not an object in the header");
    Tensor tensor;
    tensor.name = name_;
    FATHOM_TRY(tensor.dtype, read_dtype());
    FATHOM_TRY(tensor.shape, read_shape());
    FATHOM_TRY(const auto range, read_range());
    int64_t bytes = info(tensor.dtype).block_bytes;
    for (int i = 0; i < tensor.shape.rank(); ++i) {
      if (__builtin_mul_overflow(bytes, tensor.shape[i], &bytes)) {
        return wrong(fmt::format("has the impossible shape {}", tensor.shape.to_string()));
      }
    }
    if (static_cast<uint64_t>(bytes) != range[1] - range[0]) {
      return wrong(fmt::format(
          "of shape {} and type {} needs {} bytes, but its data_offsets "
          "span {}",
          tensor.shape.to_string(), info(tensor.dtype).name, bytes, range[1] - range[0]));
    }
    tensor.data = data_.data() + range[0];
    tensor.bytes = bytes;
    return tensor;
  }

 private:
  std::unexpected<Error> wrong(std::string_view what) const {
    return fail("{}: the tensor {} {}", file_, name_, what);
  }

  Result<DType> read_dtype() const {
    const auto dtype = entry_.find("dtype");
    if (dtype == entry_.end() || !dtype->is_string()) return wrong("has no dtype");
    const auto& text = dtype->get_ref<const std::string&>();
    const auto found = std::ranges::find(kTypes, text, &NamedType::name);
    if (found == kTypes.end()) {
      return wrong(fmt::format("is of type {}, which is not supported", in_quotes(text)));
    }
    return found->dtype;
  }

  Result<Shape> read_shape() const {
    const auto shape = entry_.find("shape");
    if (shape == entry_.end() || !shape->is_array()) return wrong("has no shape");
    if (shape->size() > Shape::kMaxRank) {
      return wrong(fmt::format("has {} dimensions, at most {} are supported", shape->size(),
                               Shape::kMaxRank));
    }
    std::array<int64_t, Shape::kMaxRank> dims{};
    for (size_t i = 0; i < shape->size(); ++i) {
      const nlohmann::json& dim = (*shape)[i];
      if (!dim.is_number_unsigned() ||
          dim.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return wrong("has a dimension that is not a whole number from 0 to 2^63");
      }
      dims[i] = dim.get<int64_t>();
    }
    return Shape(std::span(dims).first(shape->size()));
  }

  Result<std::array<uint64_t, 2>> read_range() const {
    const auto offsets = entry_.find("data_offsets");
    if (offsets == entry_.end() || !offsets->is_array() || offsets->size() != 2 ||
        !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
      return wrong("has no data_offsets of two whole numbers");
    }
    const std::array<uint64_t, 2> range{(*offsets)[0].get<uint64_t>(),
                                        (*offsets)[1].get<uint64_t>()};
    if (range[0] > range[1]) {
      return wrong(fmt::format("has data_offsets out of order: [{}, {}]", range[0], range[1]));
    }
    if (range[1] > data_.size()) {
      return wrong(
          fmt::format("ends at byte {} of the data, but the file has {}: it is damaged or "
                      "cut off",
                      range[1], data_.size()));
    }
    return range;
  }

  const std::string& file_;
  const std::string& name_;
  const nlohmann::json& entry_;
  std::span<const std::byte> data_;
};

// Sorted by place: each must begin where the one before ends, and the last end with the file.
Status check_cover(const std::vector<Tensor>& tensors, std::span<const std::byte> data,
                   const std::string& file) {
  const std::byte* end = data.data();
  for (const Tensor& tensor : tensors) {
    if (tensor.data < end) {
      return fail("{}: the tensor {} overlaps another", file, tensor.name);
    }
    if (tensor.data > end) {
      return fail("{}: {} bytes before the tensor {} belong to no tensor", file, tensor.data - end,
                  tensor.name);
    }
    end = tensor.data + tensor.bytes;
  }
  const std::ptrdiff_t left = data.data() + data.size() - end;
  if (left != 0) {
    return fail("{}: the last {} bytes belong to no tensor", file, left);
  }
  return {};
}

}  // namespace

Result<std::vector<Tensor>> parse_safetensors(std::span<const std::byte> bytes,
                                              const std::string& file) {
  uint64_t header_size = 0;
  if (bytes.size() < sizeof header_size) {
    return fail("{} is not a safetensors file: it has only {} bytes", file, bytes.size());
  }
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  const auto rest = bytes.subspan(sizeof header_size);
  if (header_size > kMaxHeader) {
    return fail(
        "{} is not a safetensors file: its header would have {} bytes, more than the {} "
        "that are allowed",
        file, header_size, kMaxHeader);
  }
  if (header_size > rest.size()) {
    return fail("{} is damaged or cut off: its header should have {} bytes, but the file has {}",
                file, header_size, bytes.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), header_size);
  if (!text.starts_with('{')) {
    return fail("{} is not a safetensors file: its header does not begin with \"{{\"", file);
  }
  FATHOM_TRY(const nlohmann::json header,
             parse_json(text, "the header of " + file, {kMaxHeader, kMaxHeaderValues}));

  const auto data = rest.subspan(header_size);
  std::vector<Tensor> tensors;
  tensors.reserve(header.size());
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    FATHOM_TRY(Tensor tensor, EntryReader(file, name, entry, data).read());
    tensors.push_back(std::move(tensor));
  }
  std::ranges::sort(tensors, [](const Tensor& a, const Tensor& b) {
    return a.data != b.data ? a.data < b.data : a.bytes < b.bytes;
  });
  FATHOM_CHECK(check_cover(tensors, data, file));
  return tensors;
}

}  // namespace fathom

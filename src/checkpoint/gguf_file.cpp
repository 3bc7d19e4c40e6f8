#include "checkpoint/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <regex>
#include <string_view>
#include <unordered_set>

#include "base/quote.h"

namespace fathom {

namespace {

constexpr uint64_t kMaxNameLength = 512;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1U << 20;

// Walks through the bytes; every step checks that enough of them are left.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > left()) {
      return fail("{} is damaged or cut off: {} at byte {} needs {} bytes, but {} are left", file_,
                  what, position_, count, left());
    }
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  template <typename T>
  Result<T> read(std::string_view what) {
    FATHOM_TRY(const auto taken, take(sizeof(T), what));
    T value;
    std::memcpy(&value, taken.data(), sizeof value);
    return value;
  }

  Result<std::span<const std::byte>> read_string(std::string_view what) {
    FATHOM_TRY(const auto length, read<uint64_t>(what));
    return take(length, what);
  }

  // Keys and tensor names: short, and without characters that could drive a terminal.
  Result<std::string> read_name(std::string_view what) {
    FATHOM_TRY(const auto taken, read_string(what));
    if (taken.empty() || taken.size() > kMaxNameLength) {
      return fail("{}: {} has {} bytes, expected 1 to {}", file_, what, taken.size(),
                  kMaxNameLength);
    }
    std::string text(reinterpret_cast<const char*>(taken.data()), taken.size());
    if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; })) {
      return fail("{}: {} is {}, which has characters that no name has", file_, what,
                  in_quotes(text));
    }
    return text;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  size_t position_ = 0;
};

Result<GgufType> read_type(Reader& reader, const std::string& file, const std::string& key) {
  FATHOM_TRY(const auto type, reader.read<uint32_t>("a metadata type"));
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    return fail("{}: the metadata key {} has the unknown type {}", file, key, type);
  }
  return static_cast<GgufType>(type);
}

Status check_bools(std::span<const std::byte> bytes, const std::string& file,
                   const std::string& key) {
  for (const std::byte byte : bytes) {
    if (std::to_integer<unsigned>(byte) > 1) {
      return fail("{}: the metadata key {} has a bool of value {}", file, key,
                  std::to_integer<unsigned>(byte));
    }
  }
  return {};
}

Result<GgufValue> read_array(Reader& reader, const std::string& file, const std::string& key) {
  GgufValue value;
  value.type = GgufType::kArray;
  FATHOM_TRY(value.element, read_type(reader, file, key));
  if (value.element == GgufType::kArray) {
    return fail("{}: the metadata key {} is an array of arrays, which no known model has", file,
                key);
  }
  FATHOM_TRY(value.count, reader.read<uint64_t>("an array length"));
  const bool strings = value.element == GgufType::kString;
  const uint64_t least = strings ? sizeof(uint64_t) : byte_size(value.element);
  if (value.count > reader.left() / least) {
    return fail(
        "{} is damaged or cut off: the metadata key {} is an array of {} values, but only "
        "{} bytes are left",
        file, key, value.count, reader.left());
  }
  if (!strings) {
    FATHOM_TRY(value.bytes, reader.take(value.count * least, key));
    if (value.element == GgufType::kBool) FATHOM_CHECK(check_bools(value.bytes, file, key));
    return value;
  }
  Reader start = reader;
  for (uint64_t i = 0; i < value.count; ++i) FATHOM_CHECK(reader.read_string(key));
  FATHOM_TRY(value.bytes, start.take(reader.position() - start.position(), key));
  return value;
}

Result<GgufValue> read_value(Reader& reader, const std::string& file, const std::string& key) {
  GgufValue value;
  FATHOM_TRY(value.type, read_type(reader, file, key));
  if (value.type == GgufType::kArray) return read_array(reader, file, key);
  if (value.type == GgufType::kString) {
    FATHOM_TRY(value.bytes, reader.read_string(key));
  } else {
    FATHOM_TRY(value.bytes, reader.take(byte_size(value.type), key));
    if (value.type == GgufType::kBool) FATHOM_CHECK(check_bools(value.bytes, file, key));
  }
  return value;
}

struct StoredType {
  std::string_view name;
  std::optional<DType> dtype;  // nullopt: known, not supported
};

// ggml_type by number; an empty name: never used or withdrawn.
StoredType stored_type(uint32_t number) {
  switch (number) {
    case 0:
      return {"F32", DType::kF32};
    case 1:
      return {"F16", DType::kF16};
    case 2:
      return {"Q4_0", DType::kQ4_0};
    case 3:
      return {"Q4_1", DType::kQ4_1};
    case 6:
      return {"Q5_0", DType::kQ5_0};
    case 7:
      return {"Q5_1", DType::kQ5_1};
    case 8:
      return {"Q8_0", DType::kQ8_0};
    case 9:
      return {"Q8_1", std::nullopt};
    case 10:
      return {"Q2_K", DType::kQ2_K};
    case 11:
      return {"Q3_K", DType::kQ3_K};
    case 12:
      return {"Q4_K", DType::kQ4_K};
    case 13:
      return {"Q5_K", DType::kQ5_K};
    case 14:
      return {"Q6_K", DType::kQ6_K};
    case 15:
      return {"Q8_K", std::nullopt};
    case 16:
      return {"IQ2_XXS", std::nullopt};
    case 17:
      return {"IQ2_XS", std::nullopt};
    case 18:
      return {"IQ3_XXS", std::nullopt};
    case 19:
      return {"IQ1_S", std::nullopt};
    case 20:
      return {"IQ4_NL", std::nullopt};
    case 21:
      return {"IQ3_S", std::nullopt};
    case 22:
      return {"IQ2_S", std::nullopt};
    case 23:
      return {"IQ4_XS", std::nullopt};
    case 24:
      return {"I8", DType::kI8};
    case 25:
      return {"I16", DType::kI16};
    case 26:
      return {"I32", DType::kI32};
    case 27:
      return {"I64", DType::kI64};
    case 28:
      return {"F64", DType::kF64};
    case 29:
      return {"IQ1_M", std::nullopt};
    case 30:
      return {"BF16", DType::kBF16};
    case 34:
      return {"TQ1_0", std::nullopt};
    case 35:
      return {"TQ2_0", std::nullopt};
    case 39:
      return {"MXFP4", std::nullopt};
    default:
      return {"", std::nullopt};
  }
}

// A row of the tensor table, before the data's place in the file is known.
struct TableEntry {
  Tensor tensor;
  uint64_t offset = 0;  // from the start of the data
};

Result<Shape> read_shape(Reader& reader, const std::string& file, const std::string& name) {
  FATHOM_TRY(const auto rank, reader.read<uint32_t>("a number of dimensions"));
  if (rank == 0 || rank > Shape::kMaxRank) {
    return fail("{}: the tensor {} has {} dimensions, expected 1 to {}", file, name, rank,
                Shape::kMaxRank);
  }
  std::array<int64_t, Shape::kMaxRank> dims{};
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    FATHOM_TRY(const auto dim, reader.read<uint64_t>("a dimension"));
    if (dim == 0 || dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
        __builtin_mul_overflow(elements, static_cast<int64_t>(dim), &elements)) {
      return fail("{}: the tensor {} has an impossible size: dimension {} is {}", file, name, i,
                  dim);
    }
    // The file lists the fastest dimension first, we list it last.
    dims[rank - 1 - i] = static_cast<int64_t>(dim);
  }
  return Shape(std::span(dims).first(rank));
}

Result<TableEntry> read_table_entry(Reader& reader, const std::string& file) {
  TableEntry entry;
  Tensor& tensor = entry.tensor;
  FATHOM_TRY(tensor.name, reader.read_name("a tensor name"));
  FATHOM_TRY(tensor.shape, read_shape(reader, file, tensor.name));
  FATHOM_TRY(const auto number, reader.read<uint32_t>("a tensor type"));
  const StoredType type = stored_type(number);
  if (type.name.empty()) {
    return fail("{}: the tensor {} has the unknown type {}", file, tensor.name, number);
  }
  if (!type.dtype) {
    return fail(
        "{}: the tensor {} is of type {}, which is not supported. Use a file quantised as "
        "Q2_K to Q6_K, Q4_0 to Q8_0, F16, BF16 or F32",
        file, tensor.name, type.name);
  }
  tensor.dtype = *type.dtype;
  const DTypeInfo& layout = info(tensor.dtype);
  const int64_t row = tensor.shape[tensor.shape.rank() - 1];
  if (row % layout.block_elements != 0) {
    return fail(
        "{}: the rows of the tensor {} have {} elements, which is not a multiple of {}'s "
        "block of {}",
        file, tensor.name, row, layout.name, layout.block_elements);
  }
  if (__builtin_mul_overflow(tensor.shape.elements() / layout.block_elements,
                             static_cast<int64_t>(layout.block_bytes), &tensor.bytes)) {
    return fail("{}: the tensor {} of shape {} is impossibly large", file, tensor.name,
                tensor.shape.to_string());
  }
  FATHOM_TRY(entry.offset, reader.read<uint64_t>("a tensor offset"));
  return entry;
}

Status place_tensors(std::vector<TableEntry>& table, std::span<const std::byte> data,
                     uint64_t alignment, const std::string& file) {
  for (TableEntry& entry : table) {
    if (entry.offset % alignment != 0) {
      return fail(
          "{}: the tensor {} starts at offset {}, which is not a multiple of the file's "
          "alignment of {}",
          file, entry.tensor.name, entry.offset, alignment);
    }
    if (entry.offset > data.size() ||
        static_cast<uint64_t>(entry.tensor.bytes) > data.size() - entry.offset) {
      return fail(
          "{} is damaged or cut off: the tensor {} needs {} bytes at offset {}, but the "
          "file has {} bytes of tensor data",
          file, entry.tensor.name, entry.tensor.bytes, entry.offset, data.size());
    }
    entry.tensor.data = data.data() + entry.offset;
  }
  std::vector<const TableEntry*> order;
  order.reserve(table.size());
  for (const TableEntry& entry : table) order.push_back(&entry);
  std::ranges::sort(order, {}, &TableEntry::offset);
  for (size_t i = 1; i < order.size(); ++i) {
    const TableEntry& before = *order[i - 1];
    if (before.offset + static_cast<uint64_t>(before.tensor.bytes) > order[i]->offset) {
      return fail("{}: the tensors {} and {} overlap", file, before.tensor.name,
                  order[i]->tensor.name);
    }
  }
  return {};
}

Result<uint64_t> read_alignment(const GgufMetadata& metadata, const std::string& file) {
  FATHOM_TRY(const auto stored, metadata.get_int("general.alignment"));
  if (!stored) return kDefaultAlignment;
  const auto alignment = static_cast<uint64_t>(*stored);
  if (*stored < 8 || alignment > kMaxAlignment || !std::has_single_bit(alignment)) {
    return fail("{}: general.alignment is {}, expected a power of two from 8 to {}", file, *stored,
                kMaxAlignment);
  }
  return alignment;
}

Result<uint32_t> read_version(Reader& reader, const std::string& file) {
  const auto magic = reader.take(4, "the magic number");
  if (!magic || std::memcmp(magic->data(), "GGUF", 4) != 0) {
    return fail("{} is not a GGUF file: it does not begin with \"GGUF\"", file);
  }
  FATHOM_TRY(const auto version, reader.read<uint32_t>("the version"));
  if (version == 2 || version == 3) return version;
  if ((version & 0xffffU) == 0) {
    return fail(
        "{} is a big-endian GGUF file, which is not supported: convert it with "
        "gguf-convert-endian",
        file);
  }
  return fail("{} is GGUF version {}; versions 2 and 3 are supported", file, version);
}

}  // namespace

Result<GgufFile> parse_gguf(std::span<const std::byte> bytes, const std::string& file) {
  Reader reader(bytes, file);
  FATHOM_TRY(const auto version, read_version(reader, file));
  FATHOM_TRY(const auto tensor_count, reader.read<uint64_t>("the number of tensors"));
  FATHOM_TRY(const auto pair_count, reader.read<uint64_t>("the number of metadata keys"));

  // The least that one of each can take up: lengths and types, with a name of one character.
  constexpr uint64_t kLeastPair = 8 + 1 + 4 + 1;
  constexpr uint64_t kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;
  if (pair_count > reader.left() / kLeastPair || tensor_count > reader.left() / kLeastTensor) {
    return fail(
        "{} is damaged or cut off: its header announces {} metadata keys and {} tensors, "
        "more than its {} bytes can hold",
        file, pair_count, tensor_count, bytes.size());
  }

  GgufFile gguf{version, GgufMetadata(file), {}};
  for (uint64_t i = 0; i < pair_count; ++i) {
    FATHOM_TRY(std::string key, reader.read_name("a metadata key"));
    FATHOM_TRY(const GgufValue value, read_value(reader, file, key));
    if (!gguf.metadata.add(key, value)) {
      return fail("{}: the metadata key {} occurs twice", file, key);
    }
  }
  FATHOM_TRY(const uint64_t alignment, read_alignment(gguf.metadata, file));

  std::vector<TableEntry> table;
  table.reserve(tensor_count);
  std::unordered_set<std::string_view> names;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    FATHOM_TRY(TableEntry entry, read_table_entry(reader, file));
    table.push_back(std::move(entry));
    if (!names.insert(table.back().tensor.name).second) {
      return fail("{}: the tensor {} occurs twice", file, table.back().tensor.name);
    }
  }

  const uint64_t start = (reader.position() + alignment - 1) / alignment * alignment;
  const auto data = start <= bytes.size() ? bytes.subspan(start) : std::span<const std::byte>{};
  FATHOM_CHECK(place_tensors(table, data, alignment, file));
  gguf.tensors.reserve(table.size());
  for (TableEntry& entry : table) gguf.tensors.push_back(std::move(entry.tensor));
  return gguf;
}

std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path) {
  static const std::regex part_name(R"((.*)-(\d{5})-of-(\d{5})\.gguf)");
  const std::string name = path.filename().string();
  std::smatch match;
  if (!std::regex_match(name, match, part_name)) return {path};
  const int count = std::stoi(match[3]);
  std::vector<std::filesystem::path> parts;
  for (int i = 1; i <= count; ++i) {
    parts.push_back(path.parent_path() /
                    fmt::format("{}-{:05}-of-{:05}.gguf", match[1].str(), i, count));
  }
  return count == 0 ? std::vector{path} : parts;
}

}  // namespace fathom

// A Hugging Face directory in compressed-tensors' layout "pack-quantized" (its specification is the
// package of that name): a quantised matrix X is X_packed, codes of 4 or 8 bits in 32-bit words
// from the low bits up; X_scale, one half for each group; X_shape; and with zero points
// X_zero_point, packed along the rows. Everything else keeps name and shape. config.json gains the
// description, and the tokenizer's and other small files come along as they are.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/safetensors_output.h"
#include "compress/weight_output.h"
#include "tensor/blocks.h"
#include "tensor/encode.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMostConfig = 4U << 20;

bool has_zero_points(DType dtype) {
  return dtype == DType::kI4Z_32 || dtype == DType::kI4Z_64 || dtype == DType::kI4Z_128;
}

int bits_of(DType dtype) {
  return dtype == DType::kQ8_0 || dtype == DType::kI8_128 ? 8 : 4;
}

// Where the parts of a planned tensor are in the file, and zero points until all rows are there.
struct Place {
  size_t first = 0;  // the tensor itself, or its codes; scale and, last, zero points follow
  std::vector<uint8_t> zeros;
};

// The codes of a block as 32-bit words want them: offset by half their range, in the row's order.
void append_codes(DType dtype, const std::byte* block, std::vector<std::byte>& out) {
  const auto elements = static_cast<size_t>(info(dtype).block_elements);
  if (bits_of(dtype) == 8) {
    for (size_t i = 0; i < elements; ++i) out.push_back(block[2 + i] ^ std::byte{0x80});
    return;
  }
  if (dtype != DType::kQ4_0) {  // already in this order
    const std::byte* codes = block + (has_zero_points(dtype) ? 3 : 2);
    out.insert(out.end(), codes, codes + elements / 2);
    return;
  }
  const auto code = [&](size_t i) {
    const auto byte = std::to_integer<unsigned>(block[2 + i % 16]);
    return i < 16 ? byte & 15U : byte >> 4U;
  };
  for (size_t i = 0; i < elements; i += 2) {
    out.push_back(static_cast<std::byte>(code(i) | (code(i + 1) << 4U)));
  }
}

class HfWeights final : public WeightOutput {
 public:
  HfWeights(fs::path path, fs::path temporary, SafetensorsOutput file,
            std::unordered_map<const Tensor*, Place> places)
      : path_(std::move(path)),
        temporary_(std::move(temporary)),
        file_(std::move(file)),
        places_(std::move(places)) {}
  ~HfWeights() override {
    std::error_code ignored;
    if (!committed_) fs::remove_all(temporary_, ignored);
  }
  HfWeights(const HfWeights&) = delete;
  HfWeights& operator=(const HfWeights&) = delete;

  Status write(const PlannedTensor& tensor, int64_t row,
               std::span<const std::byte> bytes) override {
    const auto found = places_.find(tensor.source);
    if (found == places_.end()) return {};  // scales of FP8 weights, which have become others
    Place& place = found->second;
    const Shape& shape = tensor.source->shape;
    const int64_t width = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
    if (!info(tensor.target).quantized) {
      return file_.write(place.first, row * byte_size(tensor.target, width), bytes);
    }
    const auto block = static_cast<size_t>(info(tensor.target).block_bytes);
    const int64_t groups = width / info(tensor.target).block_elements;
    std::vector<std::byte> codes;
    std::vector<std::byte> scales;
    for (size_t at = 0; at < bytes.size(); at += block) {
      const std::byte* source = bytes.data() + at;
      append_codes(tensor.target, source, codes);
      scales.insert(scales.end(), source, source + 2);
      if (has_zero_points(tensor.target))
        place.zeros.push_back(std::to_integer<uint8_t>(source[2]));
    }
    FATHOM_CHECK(file_.write(place.first, row * width * bits_of(tensor.target) / 8, codes));
    FATHOM_CHECK(file_.write(place.first + 1, row * groups * 2, scales));
    if (row == 0) {
      const std::array<int64_t, 2> stored{shape[0], shape[1]};
      FATHOM_CHECK(file_.write(place.first + 2, 0, std::as_bytes(std::span(stored))));
    }
    const bool whole = static_cast<int64_t>(place.zeros.size()) == shape[0] * groups;
    if (!has_zero_points(tensor.target) || !whole) return {};
    return write_zeros(place, shape[0], groups);
  }

  Status commit() override {
    FATHOM_CHECK(file_.commit());
    std::error_code error;
    fs::rename(temporary_, path_, error);
    if (error) return fail("{}: cannot be written: {}", path_.string(), error.message());
    committed_ = true;
    return {};
  }
  int64_t bytes() const override { return file_.bytes(); }

 private:
  Status write_zeros(Place& place, int64_t rows, int64_t groups) {
    std::vector<uint32_t> words(static_cast<size_t>((rows + 7) / 8 * groups));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        words[static_cast<size_t>(r / 8 * groups + g)] |=
            static_cast<uint32_t>(place.zeros[static_cast<size_t>(r * groups + g)])
            << static_cast<unsigned>(r % 8 * 4);
      }
    }
    place.zeros = {};
    return file_.write(place.first + 3, 0, std::as_bytes(std::span(words)));
  }

  fs::path path_;
  fs::path temporary_;
  SafetensorsOutput file_;
  std::unordered_map<const Tensor*, Place> places_;
  bool committed_ = false;
};

// What config.json says of the packed matrices; nothing where there are none.
nlohmann::ordered_json description(const std::vector<PlannedTensor>& plan) {
  nlohmann::ordered_json ignored = nlohmann::ordered_json::array();
  const PlannedTensor* packed = nullptr;
  for (const PlannedTensor& tensor : plan) {
    const std::string& name = tensor.source->name;
    if (info(tensor.target).quantized) {
      packed = &tensor;
    } else if (tensor.source->shape.rank() == 2 && name.ends_with(".weight") &&
               tensor.role != TensorRole::kEmbedding) {
      ignored.push_back(name.substr(0, name.size() - std::strlen(".weight")));
    }
  }
  if (packed == nullptr) return nullptr;
  const nlohmann::ordered_json weights = {{"num_bits", bits_of(packed->target)},
                                          {"type", "int"},
                                          {"symmetric", !has_zero_points(packed->target)},
                                          {"strategy", "group"},
                                          {"group_size", info(packed->target).block_elements},
                                          {"block_structure", nullptr},
                                          {"dynamic", false},
                                          {"actorder", nullptr},
                                          {"observer", "minmax"},
                                          {"observer_kwargs", nlohmann::ordered_json::object()}};
  const nlohmann::ordered_json group = {{"targets", {"Linear"}},
                                        {"weights", weights},
                                        {"input_activations", nullptr},
                                        {"output_activations", nullptr}};
  if (std::ranges::find(ignored, "lm_head") == ignored.end()) ignored.push_back("lm_head");
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", group}}},
          {"ignore", ignored},
          {"kv_cache_scheme", nullptr},
          {"global_compression_ratio", nullptr}};
}

Status write_text(const fs::path& path, const std::string& text) {
  FATHOM_TRY(OutputFile file, OutputFile::create(path, static_cast<int64_t>(text.size())));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(text))));
  return file.commit();
}

// What belongs to a model beside its weights.
bool is_companion(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name == "config.json" || name.ends_with(".index.json")) return false;
  const std::string extension = path.extension().string();
  return extension == ".json" || extension == ".txt" || extension == ".model" ||
         extension == ".jinja" || name.starts_with("LICENSE");
}

Status copy_companions(const fs::path& from, const fs::path& to,
                       const std::vector<PlannedTensor>& plan) {
  FATHOM_TRY(const std::string text, read_text_file(from / "config.json", kMostConfig));
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!config.is_object())
    return fail("{} should hold a JSON object", (from / "config.json").string());
  config.erase("quantization_config");
  if (const auto packed = description(plan); !packed.is_null()) {
    config["quantization_config"] = packed;
  }
  FATHOM_CHECK(write_text(to / "config.json", config.dump(2) + "\n"));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    if (!entry.is_regular_file() || !is_companion(entry.path())) continue;
    fs::copy_file(entry.path(), to / entry.path().filename(), error);
    if (error) break;
  }
  if (error) return fail("{}: cannot be copied: {}", from.string(), error.message());
  return {};
}

}  // namespace

Result<std::unique_ptr<WeightOutput>> make_hf_output(const fs::path& path,
                                                     const Checkpoint& checkpoint,
                                                     const std::vector<PlannedTensor>& plan) {
  std::error_code error;
  if (fs::exists(path, error)) {
    return usage_error("{} is there already: name a directory that is not.", path.string());
  }
  std::vector<SafetensorsOutput::Announced> announced;
  std::unordered_map<const Tensor*, Place> places;
  for (const PlannedTensor& tensor : plan) {
    const Tensor& source = *tensor.source;
    if (source.name.ends_with("_scale_inv")) continue;  // of FP8 weights, which are BF16 now
    places[&source].first = announced.size();
    if (!info(tensor.target).quantized) {
      announced.push_back({source.name, tensor.target, source.shape});
      continue;
    }
    const int64_t rows = source.shape[0];
    const int64_t width = source.shape[1];
    const int64_t groups = width / info(tensor.target).block_elements;
    const int64_t per_word = 32 / bits_of(tensor.target);
    announced.push_back({source.name + "_packed", DType::kI32, {rows, width / per_word}});
    announced.push_back({source.name + "_scale", DType::kF16, {rows, groups}});
    announced.push_back({source.name + "_shape", DType::kI64, {2}});
    if (has_zero_points(tensor.target)) {
      announced.push_back({source.name + "_zero_point", DType::kI32, {(rows + 7) / 8, groups}});
    }
  }
  fs::path temporary = path.lexically_normal();
  if (temporary.filename().empty()) temporary = temporary.parent_path();
  temporary += fmt::format(".partial-{}", getpid());
  fs::create_directory(temporary, error);
  if (error) return fail("{}: cannot be written: {}", path.string(), error.message());
  auto file = SafetensorsOutput::create(temporary / "model.safetensors", announced);
  Status copied = file ? copy_companions(checkpoint.path(), temporary, plan) : Status();
  if (!file || !copied) {
    const Error why = file ? copied.error() : file.error();
    file = std::unexpected(why);  // closes and removes what was begun
    fs::remove_all(temporary, error);
    return std::unexpected(why);
  }
  return std::make_unique<HfWeights>(path, std::move(temporary), *std::move(file),
                                     std::move(places));
}

}  // namespace fathom

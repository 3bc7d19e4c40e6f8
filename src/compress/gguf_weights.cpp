#include <unordered_map>
#include <utility>

#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_output.h"
#include "compress/weight_output.h"

namespace fathom {

namespace {

// llama.cpp's llama_ftype: what most of a file is stored as.
uint32_t file_type(const QuantizeOptions& options) {
  if (options.method == QuantizeMethod::kNone) {
    return options.plain == DType::kF32 ? 0 : options.plain == DType::kF16 ? 1 : 32;
  }
  if (options.bits == 8) return 7;
  return options.zero_points ? 3 : 2;
}

struct Place {
  size_t tensor = 0;  // of the file
  int64_t first = 0;  // of the tensor's elements
};

class GgufWeights final : public WeightOutput {
 public:
  GgufWeights(GgufOutput file, std::unordered_map<const Tensor*, Place> places)
      : file_(std::move(file)), places_(std::move(places)) {}

  Status write(const PlannedTensor& tensor, int64_t row,
               std::span<const std::byte> bytes) override {
    const Place place = places_.at(tensor.source);
    const Shape& shape = tensor.source->shape;
    const int64_t first = place.first + row * shape[shape.rank() - 1];
    return file_.write(place.tensor, byte_size(tensor.target, first), bytes);
  }
  Status commit() override { return file_.commit(); }
  int64_t bytes() const override { return file_.bytes(); }

 private:
  GgufOutput file_;
  std::unordered_map<const Tensor*, Place> places_;
};

}  // namespace

Result<std::unique_ptr<WeightOutput>> make_gguf_output(const std::filesystem::path& path,
                                                       const Checkpoint& checkpoint,
                                                       const QuantizeOptions& options,
                                                       const std::vector<PlannedTensor>& plan) {
  // The files' own tables: the checkpoint has renamed its tensors and cut stacks of experts apart.
  std::vector<GgufFile> parts;
  for (const MappedFile& file : checkpoint.files()) {
    FATHOM_TRY(GgufFile part, parse_gguf(file.bytes(), file.path().string()));
    parts.push_back(std::move(part));
  }
  if (parts.empty()) {
    return fail("{} is no GGUF file, and a GGUF file can only be made of one",
                checkpoint.path().string());
  }
  std::unordered_map<const std::byte*, const PlannedTensor*> by_data;
  for (const PlannedTensor& planned : plan) by_data[planned.source->data] = &planned;

  std::vector<GgufOutput::Announced> announced;
  std::unordered_map<const Tensor*, Place> places;
  for (const GgufFile& part : parts) {
    for (const Tensor& stored : part.tensors) {
      const int64_t elements = stored.shape.elements();
      DType target = stored.dtype;
      for (int64_t first = 0; first < elements;) {
        const auto found = by_data.find(stored.data + byte_size(stored.dtype, first));
        if (found == by_data.end()) {
          return fail("{}: the tensor {} is not one of the model's", checkpoint.path().string(),
                      stored.name);
        }
        const PlannedTensor& slice = *found->second;
        if (first > 0 && slice.target != target) {
          return usage_error("{} is one of a stack of experts, which must all be of one type.",
                             slice.source->name);
        }
        target = slice.target;
        places[slice.source] = {announced.size(), first};
        first += slice.source->shape.elements();
      }
      announced.push_back({stored.name, target, stored.shape});
    }
  }
  std::vector<std::pair<std::string, uint32_t>> keys = {{"general.file_type", file_type(options)}};
  if (options.method != QuantizeMethod::kNone) {
    keys.emplace_back("general.quantization_version", 2);
  }
  FATHOM_TRY(GgufOutput file, GgufOutput::create(path, parts.front().metadata, keys, announced));
  return std::make_unique<GgufWeights>(std::move(file), std::move(places));
}

}  // namespace fathom

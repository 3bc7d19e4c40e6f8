// A Hugging Face directory: model.safetensors, in which quantised matrices are packed
// (packed_matrix.h) and everything else keeps name and shape, and what belongs beside it
// (hf_companions.h).
#include <unistd.h>

#include <optional>
#include <unordered_map>
#include <utility>

#include "checkpoint/safetensors_output.h"
#include "compress/folds.h"
#include "compress/hf_companions.h"
#include "compress/packed_matrix.h"
#include "compress/row_order.h"
#include "compress/weight_output.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

// Where a planned tensor is in the file: itself, or the parts it is packed into.
struct Place {
  size_t first = 0;
  RowOrder order;
  std::optional<MatrixPacker> packer;
};

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
    if (!committed_ && !kept_) fs::remove_all(temporary_, ignored);
  }
  HfWeights(const HfWeights&) = delete;
  HfWeights& operator=(const HfWeights&) = delete;

  Status write(const PlannedTensor& tensor, int64_t row,
               std::span<const std::byte> bytes) override {
    const auto found = places_.find(tensor.source);
    if (found == places_.end()) return {};  // scales of FP8 weights, which have become others
    Place& place = found->second;
    if (place.order.as_it_stands()) return write_rows(place, tensor, row, bytes);
    const auto size = static_cast<size_t>(byte_size(tensor.target, row_width(*tensor.source)));
    for (size_t at = 0; at < bytes.size(); at += size, ++row) {
      FATHOM_CHECK(write_rows(place, tensor, place.order(row), bytes.subspan(at, size)));
    }
    return {};
  }

  Status sync() override { return file_.sync(); }
  void keep() override {
    kept_ = true;
    file_.keep();
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
  Status write_rows(Place& place, const PlannedTensor& tensor, int64_t row,
                    std::span<const std::byte> bytes) {
    if (place.packer) return place.packer->write(file_, row, bytes);
    const int64_t row_bytes = byte_size(tensor.target, row_width(*tensor.source));
    return file_.write(place.first, row * row_bytes, bytes);
  }

  fs::path path_;
  fs::path temporary_;
  SafetensorsOutput file_;
  std::unordered_map<const Tensor*, Place> places_;
  bool committed_ = false;
  bool kept_ = false;
};

}  // namespace

Result<std::unique_ptr<WeightOutput>> make_hf_output(const OutputPlace& place, OutputFormat format,
                                                     const Checkpoint& checkpoint,
                                                     const QuantizeOptions& options,
                                                     const std::vector<PlannedTensor>& plan) {
  const PackedLayout layout =
      format == OutputFormat::kAwq ? PackedLayout::kAwq : PackedLayout::kCompressedTensors;
  const fs::path& path = place.path;
  std::error_code error;
  if (fs::exists(path, error)) {
    return usage_error("{} is there already: name a directory that is not.", path.string());
  }
  std::vector<SafetensorsOutput::Announced> announced;
  std::unordered_map<const Tensor*, Place> places;
  for (const PlannedTensor& tensor : plan) {
    const Tensor& source = *tensor.source;
    if (source.name.ends_with("_scale_inv")) continue;  // of FP8 weights, which are BF16 now
    Place& stored = places[&source];
    stored.first = announced.size();
    stored.order = RowOrder(source, checkpoint.config(), format);
    if (!info(tensor.target).quantized) {
      announced.push_back({source.name, tensor.target, source.shape});
      continue;
    }
    stored.packer.emplace(layout, tensor.target, source.shape[0], source.shape[1], stored.first);
    const auto parts = packed_parts(layout, source, tensor.target);
    announced.insert(announced.end(), parts.begin(), parts.end());
  }
  fs::path temporary = place.temporary;
  if (temporary.empty()) {
    temporary = path.lexically_normal();
    if (temporary.filename().empty()) temporary = temporary.parent_path();
    temporary += fmt::format(".partial-{}", getpid());
  }
  if (!place.resume) fs::create_directory(temporary, error);
  if (error) return fail("{}: cannot be written: {}", path.string(), error.message());
  auto file = SafetensorsOutput::create({.path = temporary / "model.safetensors",
                                         .temporary = temporary / "model.safetensors.partial",
                                         .resume = place.resume},
                                        announced);
  Status copied = file ? write_companions(checkpoint, temporary, layout, options, plan) : Status();
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

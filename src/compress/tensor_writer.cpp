#include "compress/tensor_writer.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "layers/names.h"
#include "tensor/encode.h"
#include "tensor/finite_scales.h"

namespace fathom {

namespace {

constexpr int64_t kValuesAtOnce = int64_t{4} << 20;
constexpr int64_t kRowsOfThread = 8;

}  // namespace

TensorWriter::TensorWriter(const Checkpoint& checkpoint, const std::filesystem::path& path,
                           OutputFormat format, const QuantizeOptions& options,
                           std::vector<PlannedTensor> plan, std::unique_ptr<WeightOutput> output,
                           QuantizeJournal& journal)
    : checkpoint_(checkpoint),
      path_(path),
      options_(options),
      positive_(format != OutputFormat::kGguf),
      plan_(std::move(plan)),
      output_(std::move(output)),
      journal_(journal),
      kernels_(Kernels::make(KernelChoice::kAuto, options.threads)) {
  for (const PlannedTensor& tensor : plan_) {
    by_name_[tensor.source->name] = &tensor;
    total_ += tensor.source->shape.elements();
  }
}

void TensorWriter::note(std::string_view text) const {
  if (options_.on_note) options_.on_note(text);
}

Status TensorWriter::check_finite(const Tensor& tensor) const {
  if (tensor.shape.rank() < 2) return check_finite_scales(tensor);
  const int64_t rows = tensor.shape[0];
  std::atomic<bool> damaged = false;
  kernels_->threads().parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    if (!check_finite_scales(tensor, begin, end - begin)) damaged = true;
  });
  return damaged ? check_finite_scales(tensor) : Status();
}

Status TensorWriter::write_rows(const PlannedTensor& planned, const EncodeRows& encode_rows) {
  const Tensor& source = *planned.source;
  const int64_t width = row_width(source);
  const int64_t rows = row_count(source);
  const int64_t row_bytes =
      width == 1 ? byte_size(planned.target, 1) : byte_size(planned.target, width);
  const int64_t at_once = std::clamp<int64_t>(kValuesAtOnce / width, 1, rows);
  std::vector<std::byte> bytes(static_cast<size_t>(at_once * row_bytes));
  const bool keep = makes_up_errors(options_.method) &&
                    ((planned.role == TensorRole::kMatrix && !is_plain(planned.target)) ||
                     folds_.touches(source));
  std::vector<std::byte>* kept = keep ? &kept_[&planned] : nullptr;
  for (int64_t row = 0; row < rows; row += at_once) {
    const int64_t count = std::min(at_once, rows - row);
    kernels_->threads().parallel_for(
        count, width == 1 ? count : kRowsOfThread, [&](int64_t begin, int64_t end) {
          std::vector<float> values(static_cast<size_t>((end - begin) * width));
          folds_.read(source, row + begin, end - begin, values.data());
          encode_rows(values.data(), end - begin, bytes.data() + begin * row_bytes);
        });
    const std::span part(bytes.data(), static_cast<size_t>(count * row_bytes));
    const int64_t place = width == 1 ? 0 : row;
    FATHOM_CHECK(kept_if_it_fails(output_->write(planned, place, part)));
    if (kept != nullptr) kept->insert(kept->end(), part.begin(), part.end());
  }
  return done(planned);
}

Status TensorWriter::write_rounded(const PlannedTensor& planned) {
  const Tensor& source = *planned.source;
  if (planned.role != TensorRole::kOther) FATHOM_CHECK(check_finite(source));
  if (planned.as_is && !folds_.touches(source)) {
    FATHOM_CHECK(kept_if_it_fails(
        output_->write(planned, 0, {source.data, static_cast<size_t>(source.bytes)})));
    return done(planned);
  }
  const bool ours = GroupCodec::exists(planned.target) && positive_;
  const int64_t width = row_width(source);
  return write_rows(planned, [&](const float* values, int64_t rows, std::byte* out) {
    if (!ours) return encode(planned.target, values, rows * width, out);
    encode_groups(GroupCodec(planned.target, true), {values, static_cast<size_t>(rows * width)},
                  out);
  });
}

Status TensorWriter::write_rest_of(int64_t layer) {
  const std::string prefix = layer_name(layer, "");
  for (const PlannedTensor& tensor : plan_) {
    if (tensor.source->name.starts_with(prefix) && !written_.contains(&tensor)) {
      FATHOM_CHECK(write_rounded(tensor));
    }
  }
  return {};
}

Status TensorWriter::write_rest() {
  for (const PlannedTensor& tensor : plan_) {
    if (!written_.contains(&tensor)) FATHOM_CHECK(write_rounded(tensor));
  }
  return {};
}

std::vector<Tensor> TensorWriter::written_of_layer() const {
  std::vector<Tensor> tensors;
  tensors.reserve(kept_.size());
  for (const auto& [planned, bytes] : kept_) {
    Tensor tensor = *planned->source;
    tensor.dtype = planned->target;
    tensor.data = bytes.data();
    tensor.bytes = static_cast<int64_t>(bytes.size());
    tensor.block_scales = nullptr;
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Status TensorWriter::finish_layer(int64_t unreached, std::span<const float> stream) {
  FATHOM_CHECK(kept_if_it_fails(output_->sync()));
  return kept_if_it_fails(journal_.add_layer(unreached, stream));
}

void TensorWriter::take_up_layers() {
  for (int64_t layer = 0; layer < journal_.layers(); ++layer) {
    const std::string prefix = layer_name(layer, "");
    for (const PlannedTensor& tensor : plan_) {
      if (!tensor.source->name.starts_with(prefix)) continue;
      written_.insert(&tensor);
      done_ += tensor.source->shape.elements();
    }
  }
}

Result<int64_t> TensorWriter::commit() {
  FATHOM_CHECK(output_->commit());
  return output_->bytes();
}

Status TensorWriter::done(const PlannedTensor& planned) {
  written_.insert(&planned);
  checkpoint_.release(*planned.source);
  done_ += planned.source->shape.elements();
  if (options_.on_progress &&
      !options_.on_progress(static_cast<double>(done_) / static_cast<double>(total_))) {
    return kept_if_it_fails(fail("Interrupted: {} was not made.", path_.string()));
  }
  return {};
}

// A full disk, or a person who stops the work: neither takes back what was done.
Status TensorWriter::kept_if_it_fails(Status status) {
  if (status) return status;
  journal_.keep();
  if (journal_.layers() > 0) {
    output_->keep();
    note(fmt::format("{} of {} layers are finished and kept in {}: the same command goes on there",
                     journal_.layers(), checkpoint_.config().layers, journal_.folder().string()));
  }
  return status;
}

}  // namespace fathom

// The way of each planned tensor into the output: read, scaled by what AWQ has folded into it,
// encoded, written, counted. Knows what is written, and what of it has to outlive a run that ends
// early. One thread calls; rows are encoded on all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/folds.h"
#include "compress/journal.h"
#include "compress/options.h"
#include "compress/tensor_plan.h"
#include "compress/weight_output.h"
#include "kernels/kernels.h"

namespace fathom {

class TensorWriter {
 public:
  // Encodes `rows` rows of decoded and scaled values, which it may use up, to out. Called by
  // several threads at a time, each with rows of its own.
  using EncodeRows = std::function<void(float* values, int64_t rows, std::byte* out)>;

  // path is where the result will be, for messages. References must outlive the writer.
  TensorWriter(const Checkpoint& checkpoint, const std::filesystem::path& path, OutputFormat format,
               const QuantizeOptions& options, std::vector<PlannedTensor> plan,
               std::unique_ptr<WeightOutput> output, QuantizeJournal& journal);

  const std::vector<PlannedTensor>& plan() const { return plan_; }
  const PlannedTensor& planned(const Tensor& tensor) const { return *by_name_.at(tensor.name); }
  // Formats but GGUF have positive scales alone.
  bool positive_scales() const { return positive_; }
  Kernels& kernels() { return *kernels_; }
  Folds& folds() { return folds_; }
  void note(std::string_view text) const;

  // Fails where a tensor, or one of its scales, has values that are not finite, and names it.
  Status check_finite(const Tensor& tensor) const;

  // A tensor, by the caller's encoding, some rows at a time.
  Status write_rows(const PlannedTensor& planned, const EncodeRows& encode_rows);
  // To the type that is planned, each value to the nearest, or as it stands.
  Status write_rounded(const PlannedTensor& planned);
  // What is not written yet, rounded: of a layer, or of all.
  Status write_rest_of(int64_t layer);
  Status write_rest();

  // A layer's tensors as they were written, for GPTQ, whose next layer sees them: those that
  // quantisation or a fold has changed. The bytes are the writer's until the next layer begins.
  std::vector<Tensor> written_of_layer() const;
  void begin_layer() { kept_.clear(); }

  // All of this layer is written, and lasts. stream: as QuantizeJournal::add_layer().
  Status finish_layer(int64_t unreached, std::span<const float> stream);
  // What an earlier run has finished counts as written.
  void take_up_layers();

  // Gives the output its name; returns its size in bytes.
  Result<int64_t> commit();

 private:
  Status done(const PlannedTensor& planned);
  Status kept_if_it_fails(Status status);

  const Checkpoint& checkpoint_;
  const std::filesystem::path& path_;
  const QuantizeOptions& options_;
  bool positive_;
  std::vector<PlannedTensor> plan_;
  std::unique_ptr<WeightOutput> output_;
  QuantizeJournal& journal_;
  std::unique_ptr<Kernels> kernels_;
  std::unordered_map<std::string, const PlannedTensor*> by_name_;
  std::unordered_set<const PlannedTensor*> written_;
  std::unordered_map<const PlannedTensor*, std::vector<std::byte>> kept_;  // of this layer
  Folds folds_;
  int64_t total_ = 0;  // elements, of all tensors
  int64_t done_ = 0;
};

}  // namespace fathom

#include "compress/merge_lora.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "compress/folds.h"
#include "compress/weight_output.h"
#include "tensor/dequantize.h"
#include "tensor/encode.h"

namespace fathom {

namespace {

constexpr int64_t kValuesAtOnce = int64_t{4} << 20;
constexpr int64_t kRowsOfThread = 8;

// What is added to rows [first, first + matrices.out) of a tensor.
struct Addition {
  int64_t first = 0;
  LoraMatrices matrices = {};
};
using Additions = std::unordered_map<std::string, std::vector<Addition>>;

Additions additions_of(const Checkpoint& checkpoint, const LoraAdapter& adapter) {
  Additions additions;
  const ModelConfig& config = checkpoint.config();
  for (const LoraMatrices& matrices : adapter.modules) {
    const std::string weight = matrices.module + ".weight";
    if (checkpoint.find(weight) != nullptr) {
      additions[weight].push_back({0, matrices});
      continue;
    }
    // Latent attention's up-projection in halves.
    const std::string prefix =
        matrices.module.substr(0, matrices.module.size() - std::string_view("kv_b_proj").size());
    auto& keys = additions[prefix + "k_b_proj.weight"];
    auto& values = additions[prefix + "v_b_proj.weight"];
    for (int64_t head = 0; head < config.heads; ++head) {
      keys.push_back({head * config.mla.kv_lora_rank, latent_key_part(matrices, config.mla, head)});
      values.push_back(
          {head * config.mla.v_head_dim, latent_value_part(matrices, config.mla, head)});
    }
  }
  return additions;
}

// Adds B A to rows [row, row + rows) of a tensor, which are in `values`. In double, as the sum is
// rounded to the tensor's type only once.
void add(const std::vector<Addition>& additions, int64_t row, int64_t rows, float* values) {
  std::vector<double> sum;
  for (const auto& [first, matrices] : additions) {
    const auto width = static_cast<size_t>(matrices.in);
    sum.resize(width);
    const int64_t begin = std::max(row, first);
    const int64_t end = std::min(row + rows, first + matrices.out);
    for (int64_t r = begin; r < end; ++r) {
      std::ranges::fill(sum, 0.0);
      for (int64_t k = 0; k < matrices.rank; ++k) {
        const auto factor =
            static_cast<double>(matrices.b[static_cast<size_t>((r - first) * matrices.rank + k)]);
        const float* a = matrices.a.data() + static_cast<size_t>(k) * width;
        for (size_t c = 0; c < width; ++c) sum[c] += factor * static_cast<double>(a[c]);
      }
      float* out = values + static_cast<size_t>(r - row) * width;
      for (size_t c = 0; c < width; ++c) {
        out[c] = static_cast<float>(static_cast<double>(out[c]) + sum[c]);
      }
    }
  }
}

// Every tensor as it is, but for those that the adapter changes or the type asked for does.
Result<std::vector<PlannedTensor>> plan(const Checkpoint& checkpoint, const Additions& additions,
                                        OutputFormat format, const MergeOptions& options,
                                        QuantizeOptions& converting) {
  converting.method = QuantizeMethod::kNone;
  if (options.type) {
    converting.plain = *options.type;
    return plan_tensors(checkpoint, converting, format);
  }
  std::vector<PlannedTensor> planned;
  planned.reserve(checkpoint.tensors().size());
  for (const Tensor& tensor : checkpoint.tensors()) {
    const bool changed = additions.contains(tensor.name);
    if ((changed && !is_plain(tensor.dtype)) || tensor.block_scales != nullptr) {
      return usage_error(
          "{} is {} in {}: what is added to it would be rounded to that again. Say --type f16 (or "
          "bf16, f32) to write all matrices so, or merge into the original and quantise the "
          "result.",
          tensor.name, name(tensor.dtype), checkpoint.path().string());
    }
    if (changed) converting.plain = tensor.dtype;
    planned.push_back({&tensor, role_of(tensor), tensor.dtype, !changed});
  }
  return planned;
}

class Merger {
 public:
  Merger(const Checkpoint& checkpoint, Additions additions, const MergeOptions& options,
         WeightOutput& output)
      : checkpoint_(checkpoint),
        additions_(std::move(additions)),
        options_(options),
        output_(output),
        threads_(options.threads) {}

  Result<MergeReport> run(const std::vector<PlannedTensor>& plan) {
    for (const PlannedTensor& tensor : plan) total_ += tensor.source->bytes;
    for (const PlannedTensor& tensor : plan) {
      FATHOM_CHECK(write(tensor));
      checkpoint_.release(*tensor.source);
      done_ += tensor.source->bytes;
      if (options_.on_progress &&
          !options_.on_progress(static_cast<double>(done_) / static_cast<double>(total_))) {
        return fail("Interrupted: nothing was written.");
      }
    }
    FATHOM_CHECK(output_.commit());
    report_.bytes = output_.bytes();
    return report_;
  }

 private:
  Status write(const PlannedTensor& planned) {
    const Tensor& source = *planned.source;
    const auto found = additions_.find(source.name);
    if (found == additions_.end() && planned.as_is) {
      return output_.write(planned, 0, {source.data, static_cast<size_t>(source.bytes)});
    }
    if (found != additions_.end()) ++report_.changed;
    const int64_t width = row_width(source);
    const int64_t rows = row_count(source);
    if (width == 1 && source.shape.rank() < 2) return write_vector(planned);
    const int64_t row_bytes = byte_size(planned.target, width);
    const int64_t at_once = std::clamp<int64_t>(kValuesAtOnce / width, 1, rows);
    std::vector<std::byte> bytes(static_cast<size_t>(at_once * row_bytes));
    for (int64_t row = 0; row < rows; row += at_once) {
      const int64_t count = std::min(at_once, rows - row);
      std::atomic<bool> finite = true;
      threads_.parallel_for(count, kRowsOfThread, [&](int64_t begin, int64_t end) {
        std::vector<float> values(static_cast<size_t>((end - begin) * width));
        std::byte* out = bytes.data() + begin * row_bytes;
        dequantize_rows(source, row + begin, end - begin, values.data());
        if (found != additions_.end()) add(found->second, row + begin, end - begin, values.data());
        encode(planned.target, values.data(), std::ssize(values), out);
        if (!all_finite(planned.target, out, values)) finite = false;
      });
      if (!finite) {
        return fail("{} has values that are not finite as {}.", source.name, name(planned.target));
      }
      FATHOM_CHECK(
          output_.write(planned, row, {bytes.data(), static_cast<size_t>(count * row_bytes)}));
    }
    return {};
  }

  Status write_vector(const PlannedTensor& planned) {
    const Tensor& source = *planned.source;
    const int64_t elements = source.shape.elements();
    std::vector<float> values(static_cast<size_t>(elements));
    dequantize(source.dtype, source.data, elements, values.data());
    std::vector<std::byte> bytes(static_cast<size_t>(byte_size(planned.target, elements)));
    encode(planned.target, values.data(), elements, bytes.data());
    return output_.write(planned, 0, bytes);
  }

  // As they were stored: a large value is infinite as F16.
  static bool all_finite(DType dtype, const std::byte* stored, std::vector<float>& scratch) {
    dequantize(dtype, stored, std::ssize(scratch), scratch.data());
    return std::ranges::all_of(scratch, [](float value) { return std::isfinite(value); });
  }

  const Checkpoint& checkpoint_;
  Additions additions_;
  const MergeOptions& options_;
  WeightOutput& output_;
  ThreadPool threads_;
  int64_t total_ = 0;
  int64_t done_ = 0;
  MergeReport report_;
};

}  // namespace

Result<MergeReport> merge_lora(const Checkpoint& checkpoint, const LoraAdapter& adapter,
                               const std::filesystem::path& path, OutputFormat format,
                               const MergeOptions& options) {
  std::error_code error;
  if (std::filesystem::equivalent(path, checkpoint.path(), error)) {
    return usage_error("{} is the source itself: write to another place.", path.string());
  }
  Additions additions = additions_of(checkpoint, adapter);
  QuantizeOptions converting;
  FATHOM_TRY(const auto planned, plan(checkpoint, additions, format, options, converting));
  FATHOM_TRY(const auto output,
             WeightOutput::create({path}, format, checkpoint, converting, planned));
  return Merger(checkpoint, std::move(additions), options, *output).run(planned);
}

}  // namespace fathom

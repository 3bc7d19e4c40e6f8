#include "compress/extract_lora.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/lora_adapter.h"
#include "checkpoint/output_file.h"
#include "checkpoint/safetensors_output.h"
#include "compress/low_rank.h"
#include "compress/tensor_plan.h"
#include "layers/names.h"
#include "tensor/dequantize.h"
#include "tensor/finite_scales.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostRank = 4096;
// Training moves norms by a percent or two; scales that were folded into them, by far more.
constexpr double kMostNormChange = 0.1;

struct Layer {
  std::string module = {};
  const Tensor* tuned = nullptr;
  const Tensor* base = nullptr;
  LowRank difference = {};
};

bool is_adaptable(const Tensor& tensor, const ModelConfig& config) {
  const TensorRole role = role_of(tensor);
  const bool latent = role == TensorRole::kLatentUp && tensor.name.ends_with(".kv_b_proj.weight");
  return tensor.shape.rank() == 2 && (role == TensorRole::kMatrix || latent) &&
         !tensor.name.starts_with(layer_name(config.layers, ""));
}

std::vector<float> values_of(const Tensor& vector) {
  std::vector<float> values(static_cast<size_t>(vector.shape.elements()));
  dequantize(vector.dtype, vector.data, vector.shape.elements(), values.data());
  return values;
}

// AWQ divides a norm by scales and multiplies the matrices behind it: those then differ in more
// than rounding, and what an adapter adds to them would not undo it.
Status check_norms(const Checkpoint& tuned, const Checkpoint& base) {
  for (const Tensor& tensor : base.tensors()) {
    if (!tensor.name.ends_with("norm.weight")) continue;
    const Tensor* other = tuned.find(tensor.name);
    if (other == nullptr || other->shape != tensor.shape) continue;
    const std::vector<float> before = values_of(tensor);
    const std::vector<float> after = values_of(*other);
    double change = 0;
    double size = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      const double value = static_cast<double>(after[i]);
      change += std::pow(static_cast<double>(before[i]) - value, 2);
      size += value * value;
    }
    if (change <= kMostNormChange * kMostNormChange * size) continue;
    return fail(
        "{} differs by {:.0f}% between {} and {}: AWQ, or something like it, has moved scales from "
        "the matrices into the norms of one of them, and an adapter cannot move them back. Take a "
        "base that was quantised without (--method rtn or gptq).",
        tensor.name, 100 * std::sqrt(change / size), tuned.path().string(), base.path().string());
  }
  return {};
}

Result<std::vector<Layer>> layers_of(const Checkpoint& tuned, const Checkpoint& base) {
  std::vector<Layer> layers;
  layers.reserve(base.tensors().size());
  for (const Tensor& tensor : base.tensors()) {
    if (!is_adaptable(tensor, base.config())) continue;
    const Tensor* other = tuned.find(tensor.name);
    if (other == nullptr || other->shape != tensor.shape) {
      return fail("{} is {} in {}, and {} in {}: they are not of one shape.", tensor.name,
                  tensor.shape.to_string(), base.path().string(),
                  other == nullptr ? "missing" : other->shape.to_string(), tuned.path().string());
    }
    FATHOM_CHECK(check_finite_scales(tensor));
    FATHOM_CHECK(check_finite_scales(*other));
    layers.push_back({.module = tensor.name.substr(0, tensor.name.rfind(".weight")),
                      .tuned = other,
                      .base = &tensor});
  }
  return layers;
}

// In the order of rows that PEFT's adapters have.
std::vector<float> decoded(const Tensor& tensor, const ModelConfig& config,
                           const std::string& module) {
  const int64_t rows = tensor.shape[0];
  const int64_t cols = tensor.shape[1];
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  dequantize_rows(tensor, 0, rows, values.data());
  if (!has_permuted_rows(config, module)) return values;
  std::vector<float> plain(values.size());
  for (int64_t row = 0; row < rows; ++row) {
    std::copy_n(values.data() + permuted_rope_row(row, config.head_dim) * cols, cols,
                plain.data() + row * cols);
  }
  return plain;
}

Status write_text(const fs::path& path, const std::string& text) {
  FATHOM_TRY(OutputFile file, OutputFile::create(path, static_cast<int64_t>(text.size())));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(text))));
  return file.commit();
}

Status write_config(const fs::path& path, const std::vector<Layer>& layers, int64_t rank,
                    const Checkpoint& base) {
  std::set<std::string> targets;
  for (const Layer& layer : layers)
    targets.insert(layer.module.substr(layer.module.rfind('.') + 1));
  const nlohmann::ordered_json config = {{"peft_type", "LORA"},
                                         {"task_type", "CAUSAL_LM"},
                                         {"base_model_name_or_path", base.config().model_name},
                                         {"r", rank},
                                         {"lora_alpha", rank},
                                         {"lora_dropout", 0.0},
                                         {"use_rslora", false},
                                         {"bias", "none"},
                                         {"fan_in_fan_out", false},
                                         {"init_lora_weights", true},
                                         {"inference_mode", true},
                                         {"target_modules", targets}};
  return write_text(
      path, config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

Result<int64_t> write_adapter(const fs::path& directory, const std::vector<Layer>& layers,
                              int64_t rank, const Checkpoint& base) {
  std::vector<SafetensorsOutput::Announced> announced;
  announced.reserve(2 * layers.size());
  for (const Layer& layer : layers) {
    const std::string name = fmt::format("base_model.model.{}", layer.module);
    announced.push_back({name + ".lora_A.weight", DType::kF32, {rank, layer.base->shape[1]}});
    announced.push_back({name + ".lora_B.weight", DType::kF32, {layer.base->shape[0], rank}});
  }
  FATHOM_TRY(SafetensorsOutput file,
             SafetensorsOutput::create({directory / "adapter_model.safetensors"}, announced));
  for (size_t i = 0; i < layers.size(); ++i) {
    FATHOM_CHECK(file.write(2 * i, 0, std::as_bytes(std::span(layers[i].difference.a))));
    FATHOM_CHECK(file.write(2 * i + 1, 0, std::as_bytes(std::span(layers[i].difference.b))));
  }
  FATHOM_CHECK(file.commit());
  FATHOM_CHECK(write_config(directory / "adapter_config.json", layers, rank, base));
  return file.bytes();
}

}  // namespace

Result<ExtractReport> extract_lora(const Checkpoint& tuned, const Checkpoint& base,
                                   const fs::path& directory, const ExtractOptions& options) {
  if (options.rank < 1 || options.rank > kMostRank) {
    return usage_error("The rank is {}; it must be 1 to {}.", options.rank, kMostRank);
  }
  std::error_code error;
  if (fs::exists(directory, error)) {
    return usage_error("{} is there already: name a directory that is not.", directory.string());
  }
  FATHOM_TRY(std::vector<Layer> layers, layers_of(tuned, base));
  FATHOM_CHECK(check_norms(tuned, base));

  ThreadPool threads(options.threads);
  std::mutex mutex;
  size_t done = 0;
  std::atomic<bool> interrupted = false;
  threads.parallel_for(std::ssize(layers), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && !interrupted; ++i) {
      Layer& layer = layers[static_cast<size_t>(i)];
      std::vector<float> difference = decoded(*layer.tuned, tuned.config(), layer.module);
      const std::vector<float> before = decoded(*layer.base, base.config(), layer.module);
      for (size_t k = 0; k < before.size(); ++k) difference[k] -= before[k];
      layer.difference =
          approximate(difference, layer.base->shape[0], layer.base->shape[1], options.rank);
      const std::lock_guard lock(mutex);
      ++done;
      if (options.on_progress &&
          !options.on_progress(static_cast<double>(done) / static_cast<double>(layers.size()))) {
        interrupted = true;
      }
    }
  });
  if (interrupted) return fail("Interrupted: nothing was written.");

  std::erase_if(layers, [](const Layer& layer) { return layer.difference.whole == 0; });
  if (layers.empty()) {
    return fail("{} and {} have equal weights wherever an adapter could change them.",
                tuned.path().string(), base.path().string());
  }
  ExtractReport report;
  report.modules = std::ssize(layers);
  double whole = 0;
  for (const Layer& layer : layers) {
    report.kept += layer.difference.kept;
    whole += layer.difference.whole;
  }
  report.kept /= whole;

  fs::path temporary = directory.lexically_normal();
  if (temporary.filename().empty()) temporary = temporary.parent_path();
  temporary += fmt::format(".partial-{}", getpid());
  fs::create_directory(temporary, error);
  if (error) return fail("{}: cannot be written: {}", directory.string(), error.message());
  const auto written = write_adapter(temporary, layers, options.rank, base);
  if (written) fs::rename(temporary, directory, error);
  if (!written || error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    if (!written) return std::unexpected(written.error());
    return fail("{}: cannot be written: {}", directory.string(), error.message());
  }
  report.bytes = *written;
  return report;
}

}  // namespace fathom

#include "checkpoint/lora_adapter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/lora_config.h"
#include "checkpoint/safetensors_file.h"
#include "tensor/dequantize.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

// What PEFT puts before a module's own name.
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kDown = ".lora_A.weight";
constexpr std::string_view kUp = ".lora_B.weight";

struct TensorPair {
  const Tensor* a = nullptr;
  const Tensor* b = nullptr;
};

std::string_view without_prefix(std::string_view name) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  return name;
}

std::unexpected<Error> unknown_tensor(const fs::path& path, const std::string& name) {
  std::string_view what = "is no part of a LoRA adapter";
  if (name.find("lora_magnitude_vector") != std::string::npos) {
    what = "belongs to DoRA, which is not supported";
  } else if (name.find("lora_embedding_") != std::string::npos) {
    what = "changes an embedding, which is not supported";
  } else if (name.ends_with(".bias")) {
    what = "is a trained bias, which is not supported";
  } else if (name.find("lora_") == std::string::npos) {
    what = "is a whole weight saved beside the adapter, which is not supported";
  }
  return fail("{}: the tensor {} {}.", path.string(), in_quotes(name), what);
}

Result<std::vector<float>> values_of(const Tensor& tensor, const fs::path& path) {
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16) {
    return fail("{}: the tensor {} is {}; it must be F32, F16 or BF16.", path.string(), tensor.name,
                name(tensor.dtype));
  }
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  dequantize(tensor.dtype, tensor.data, tensor.shape.elements(), values.data());
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    return fail("{}: the tensor {} has values that are not finite.", path.string(), tensor.name);
  }
  return values;
}

Result<LoraMatrices> matrices_of(std::string module, const TensorPair& pair,
                                 const LoraConfig& config, const fs::path& path) {
  const Shape& a = pair.a->shape;
  const Shape& b = pair.b->shape;
  if (a.rank() != 2 || b.rank() != 2 || a[0] != b[1]) {
    return fail(
        "{}: lora_A of {} is {} and lora_B {}; they must be [rank, inputs] and [outputs, rank].",
        path.string(), module, a.to_string(), b.to_string());
  }
  LoraMatrices made{.module = std::move(module), .rank = a[0], .in = a[1], .out = b[0]};
  const int64_t expected = config.rank_of(made.module);
  if (made.rank != expected) {
    return fail("{}: {} has rank {}, and adapter_config.json says {}.", path.string(), made.module,
                made.rank, expected);
  }
  FATHOM_TRY(made.a, values_of(*pair.a, path));
  FATHOM_TRY(made.b, values_of(*pair.b, path));
  const auto scale = static_cast<float>(config.scale_of(made.module));
  for (float& value : made.b) value *= scale;
  return made;
}

// "model.layers.L." or nothing.
int64_t layer_of(std::string_view module) {
  constexpr std::string_view prefix = "model.layers.";
  if (!module.starts_with(prefix)) return -1;
  module.remove_prefix(prefix.size());
  int64_t layer = -1;
  const auto [end, error] = std::from_chars(module.data(), module.data() + module.size(), layer);
  return error == std::errc() && end != module.data() + module.size() && *end == '.' ? layer : -1;
}

bool is_latent_up(std::string_view module) {
  return module.ends_with(".self_attn.kv_b_proj");
}

Status fit(LoraMatrices& matrices, const Checkpoint& checkpoint, const fs::path& path) {
  const ModelConfig& config = checkpoint.config();
  const std::string& module = matrices.module;
  const int64_t layer = layer_of(module);
  const bool projection = module.ends_with("_proj") || module.ends_with(".kv_a_proj_with_mqa");
  if (layer < 0 || !projection) {
    return fail(
        "{} changes {}, which is not one of the layers that adapters may change: those of "
        "attention and of dense and expert feed-forward layers.",
        path.string(), in_quotes(module));
  }
  if (layer >= config.layers) {
    return fail("{} changes {}, and {} has {} layers, counted from 0.", path.string(), module,
                checkpoint.path().string(), config.layers);
  }
  const auto shape = adaptable_shape(checkpoint, module);
  if (!shape) {
    return fail("{} changes {}, which {} does not have: the adapter is for another model.",
                path.string(), in_quotes(module), checkpoint.path().string());
  }
  const auto [out, in] = *shape;
  if (out != matrices.out || in != matrices.in) {
    return fail(
        "{}: the adapter's {} is for a layer of {} outputs and {} inputs, and that of {} "
        "has {} and {}: the adapter is for another model.",
        path.string(), module, matrices.out, matrices.in, checkpoint.path().string(), out, in);
  }
  if (!has_permuted_rows(config, module)) return {};
  std::vector<float> permuted(matrices.b.size());
  const auto rank = static_cast<size_t>(matrices.rank);
  for (int64_t row = 0; row < out; ++row) {
    const auto to = static_cast<size_t>(permuted_rope_row(row, config.head_dim));
    std::copy_n(matrices.b.data() + static_cast<size_t>(row) * rank, rank,
                permuted.data() + to * rank);
  }
  matrices.b = std::move(permuted);
  return {};
}

}  // namespace

std::optional<LayerShape> adaptable_shape(const Checkpoint& checkpoint, const std::string& module) {
  const ModelConfig& config = checkpoint.config();
  if (const Tensor* weight = checkpoint.find(module + ".weight");
      weight != nullptr && weight->shape.rank() == 2) {
    return LayerShape{.out = weight->shape[0], .in = weight->shape[1]};
  }
  if (!is_latent_up(module) || !config.is_mla()) return std::nullopt;
  return LayerShape{.out = config.heads * (config.mla.nope_head_dim + config.mla.v_head_dim),
                    .in = config.mla.kv_lora_rank};
}

int64_t permuted_rope_row(int64_t row, int64_t head_dim) {
  const int64_t within = row % head_dim;
  const int64_t half = head_dim / 2;
  return row - within + within % half * 2 + within / half;
}

bool has_permuted_rows(const ModelConfig& config, std::string_view module) {
  return config.rope.layout == RopeLayout::kInterleaved && !config.is_mla() &&
         (module.ends_with(".self_attn.q_proj") || module.ends_with(".self_attn.k_proj"));
}

Result<LoraAdapter> read_lora_adapter(const fs::path& directory) {
  FATHOM_TRY(const LoraConfig config, read_lora_config(directory / "adapter_config.json"));
  const fs::path path = directory / "adapter_model.safetensors";
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail("{} has no adapter_model.safetensors: it holds no adapter that can be read.",
                directory.string());
  }
  FATHOM_TRY(const MappedFile file, MappedFile::open(path));
  FATHOM_TRY(const auto tensors, parse_safetensors(file.bytes(), path.string()));
  std::map<std::string, TensorPair> pairs;
  for (const Tensor& tensor : tensors) {
    const std::string_view name = without_prefix(tensor.name);
    if (name.ends_with(kDown)) {
      pairs[std::string(name.substr(0, name.size() - kDown.size()))].a = &tensor;
    } else if (name.ends_with(kUp)) {
      pairs[std::string(name.substr(0, name.size() - kUp.size()))].b = &tensor;
    } else {
      return unknown_tensor(path, tensor.name);
    }
  }
  LoraAdapter adapter{.path = directory, .modules = {}};
  if (pairs.empty()) return fail("{} has no tensors: the adapter is empty.", path.string());
  adapter.modules.reserve(pairs.size());
  for (const auto& [module, pair] : pairs) {
    if (pair.a == nullptr || pair.b == nullptr) {
      return fail("{}: {} has lora_{} without lora_{}.", path.string(), module,
                  pair.a == nullptr ? "B" : "A", pair.a == nullptr ? "A" : "B");
    }
    FATHOM_TRY(LoraMatrices made, matrices_of(module, pair, config, path));
    adapter.modules.push_back(std::move(made));
  }
  return adapter;
}

Result<LoraAdapter> read_lora_adapter(const fs::path& directory, const Checkpoint& checkpoint) {
  FATHOM_TRY(LoraAdapter adapter, read_lora_adapter(directory));
  for (LoraMatrices& matrices : adapter.modules) {
    FATHOM_CHECK(fit(matrices, checkpoint, directory));
  }
  return adapter;
}

LoraMatrices latent_key_part(const LoraMatrices& whole, const MlaConfig& dims, int64_t head) {
  const int64_t nope = dims.nope_head_dim;
  const int64_t first = head * (nope + dims.v_head_dim);
  LoraMatrices part{.module = whole.module, .rank = whole.rank, .in = nope, .out = whole.in};
  part.a.resize(static_cast<size_t>(part.rank * part.in));
  part.b.resize(static_cast<size_t>(part.out * part.rank));
  for (int64_t k = 0; k < whole.rank; ++k) {
    for (int64_t i = 0; i < nope; ++i) {
      part.a[static_cast<size_t>(k * nope + i)] =
          whole.b[static_cast<size_t>((first + i) * whole.rank + k)];
    }
    for (int64_t c = 0; c < whole.in; ++c) {
      part.b[static_cast<size_t>(c * whole.rank + k)] =
          whole.a[static_cast<size_t>(k * whole.in + c)];
    }
  }
  return part;
}

LoraMatrices latent_value_part(const LoraMatrices& whole, const MlaConfig& dims, int64_t head) {
  const int64_t v = dims.v_head_dim;
  const int64_t first = head * (dims.nope_head_dim + v) + dims.nope_head_dim;
  LoraMatrices part{.module = whole.module, .rank = whole.rank, .in = whole.in, .out = v};
  part.a = whole.a;
  const auto begin = whole.b.begin() + first * whole.rank;
  part.b.assign(begin, begin + v * whole.rank);
  return part;
}

}  // namespace fathom

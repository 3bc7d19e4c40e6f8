#include "checkpoint/hf_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include "base/json.h"
#include "base/quote.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/safetensors_file.h"
#include "checkpoint/validate.h"
#include "tensor/finite_scales.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

constexpr JsonLimits kIndexLimits{64U << 20, 2'000'000};
// Scales are spread over the whole checkpoint, and reading one costs a disk access. So opening
// looks at them only in small checkpoints; the others' are checked when a weight is packed.
constexpr int64_t kMaxScaleBytesChecked = 1 << 20;

using WeightMap = std::map<std::string, std::vector<std::string>>;  // tensors of each file

// A shard lies beside its index: anything else in a name leads out of the checkpoint.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Result<WeightMap> read_index(const fs::path& path) {
  FATHOM_TRY(const std::string text, read_text_file(path, kIndexLimits.bytes));
  FATHOM_TRY(const nlohmann::json index, parse_json(text, path.string(), kIndexLimits));
  const bool usable = index.is_object() && index.contains("weight_map") &&
                      index["weight_map"].is_object() && !index["weight_map"].empty();
  if (!usable) return fail("{}: weight_map is missing or empty", path.string());
  WeightMap files;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || !is_plain_file_name(file.get_ref<const std::string&>())) {
      return fail("{}: the tensor {} should be in a file beside the index, but is in {}",
                  path.string(), in_quotes(tensor), in_quotes(file.dump(-1, ' ', true)));
    }
    files[file.get<std::string>()].push_back(tensor);
  }
  return files;
}

Result<HfWeights> open_shards(const fs::path& directory, const fs::path& index_path) {
  FATHOM_TRY(const WeightMap files, read_index(index_path));
  HfWeights weights;
  for (const auto& [name, wanted] : files) {
    const fs::path path = directory / name;
    auto file = MappedFile::open(path);
    if (!file) {
      return fail("{} names the shard {}, but: {}", index_path.string(), in_quotes(name),
                  file.error().message);
    }
    FATHOM_TRY(std::vector<Tensor> tensors, parse_safetensors(file->bytes(), path.string()));
    std::unordered_map<std::string_view, Tensor*> by_name;
    for (Tensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
    for (const std::string& tensor : wanted) {
      const auto found = by_name.find(tensor);
      if (found == by_name.end()) {
        return fail("{} says that the tensor {} is in {}, but it is not there", index_path.string(),
                    in_quotes(tensor), in_quotes(name));
      }
      weights.tensors.push_back(*found->second);
    }
    weights.files.push_back(*std::move(file));
  }
  return weights;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Status attach(Tensor& weight, const Tensor& scales, std::vector<std::vector<float>>& owned,
              const std::string& source) {
  if (weight.shape.rank() != 2) {
    return fail("{}: the FP8 tensor {} has the shape {}, expected a matrix", source, weight.name,
                weight.shape.to_string());
  }
  const auto blocks = [](int64_t size) { return size / 128 + (size % 128 != 0 ? 1 : 0); };
  const Shape expected{blocks(weight.shape[0]), blocks(weight.shape[1])};
  if (scales.dtype != DType::kF32 || scales.shape != expected) {
    return fail(
        "{}: the scales {} are {} of shape {}, expected F32 of shape {} (one for each "
        "block of 128 x 128)",
        source, scales.name, name(scales.dtype), scales.shape.to_string(), expected.to_string());
  }
  if (reinterpret_cast<uintptr_t>(scales.data) % alignof(float) == 0) {
    weight.block_scales = reinterpret_cast<const float*>(scales.data);
    return {};
  }
  std::vector<float>& copy = owned.emplace_back(static_cast<size_t>(scales.shape.elements()));
  std::memcpy(copy.data(), scales.data, static_cast<size_t>(scales.bytes));
  weight.block_scales = copy.data();
  return {};
}

std::vector<Tensor> split_fused_experts(std::vector<Tensor> tensors) {
  constexpr std::string_view kGateUp = ".mlp.experts.gate_up_proj";
  constexpr std::string_view kDown = ".mlp.experts.down_proj";
  std::vector<Tensor> result;
  result.reserve(tensors.size());
  for (Tensor& stack : tensors) {
    const bool gate_up = stack.name.ends_with(kGateUp);
    if ((!gate_up && !stack.name.ends_with(kDown)) || stack.shape.rank() != 3 ||
        (gate_up && stack.shape[1] % 2 != 0) || stack.shape[0] == 0) {
      result.push_back(std::move(stack));
      continue;
    }
    const std::string prefix =
        stack.name.substr(0, stack.name.size() - (gate_up ? kGateUp : kDown).size());
    const int64_t parts = gate_up ? 2 : 1;
    const int64_t bytes = stack.bytes / stack.shape[0] / parts;
    for (int64_t i = 0; i < stack.shape[0] * parts; ++i) {
      Tensor slice = stack;
      const std::string_view kind = !gate_up ? "down" : i % 2 == 0 ? "gate" : "up";
      slice.name = fmt::format("{}.mlp.experts.{}.{}_proj.weight", prefix, i / parts, kind);
      slice.shape = Shape{stack.shape[1] / parts, stack.shape[2]};
      slice.data = stack.data + i * bytes;
      slice.bytes = bytes;
      result.push_back(std::move(slice));
    }
  }
  return result;
}

Status attach_block_scales(std::vector<Tensor>& sorted, std::vector<std::vector<float>>& owned,
                           const std::string& source) {
  std::vector<const Tensor*> attached;
  int64_t bytes = 0;
  for (Tensor& weight : sorted) {
    if (weight.dtype != DType::kF8E4M3) continue;
    const Tensor* scales = find_tensor(sorted, weight.name + "_scale_inv");
    if (scales == nullptr) continue;  // validate_tensors() says so where the weight is needed
    FATHOM_CHECK(attach(weight, *scales, owned, source));
    attached.push_back(scales);
    bytes += scales->bytes;
  }
  if (bytes > kMaxScaleBytesChecked) return {};
  for (const Tensor* scales : attached) FATHOM_CHECK(check_finite_scales(*scales));
  return {};
}

}  // namespace

Result<HfWeights> open_hf_weights(const fs::path& directory) {
  const fs::path single = directory / "model.safetensors";
  const fs::path index = directory / "model.safetensors.index.json";
  if (is_there(single)) {
    HfWeights weights;
    FATHOM_TRY(MappedFile file, MappedFile::open(single));
    FATHOM_TRY(weights.tensors, parse_safetensors(file.bytes(), single.string()));
    weights.files.push_back(std::move(file));
    return weights;
  }
  if (is_there(index)) return open_shards(directory, index);
  const bool has_pickle = is_there(directory / "pytorch_model.bin") ||
                          is_there(directory / "pytorch_model.bin.index.json");
  return fail(
      "{} has neither model.safetensors nor model.safetensors.index.json{}", directory.string(),
      has_pickle ? ": its pytorch_model.bin is not supported, convert it to safetensors" : "");
}

Result<HfTensors> prepare_hf_tensors(std::vector<Tensor> tensors, const std::string& source) {
  HfTensors result;
  result.tensors = split_fused_experts(std::move(tensors));
  std::ranges::sort(result.tensors, {}, &Tensor::name);
  const auto twin = std::ranges::adjacent_find(result.tensors, {}, &Tensor::name);
  if (twin != result.tensors.end()) {
    return fail("{}: the tensor {} occurs twice", source, twin->name);
  }
  FATHOM_CHECK(attach_block_scales(result.tensors, result.owned_scales, source));
  return result;
}

}  // namespace fathom

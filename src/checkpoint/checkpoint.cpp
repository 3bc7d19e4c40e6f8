#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <system_error>

#include "checkpoint/gguf_checkpoint.h"
#include "checkpoint/hf_checkpoint.h"
#include "checkpoint/validate.h"

namespace fathom {

std::string_view name(Family family) {
  switch (family) {
    case Family::kLlama:
      return "llama";
    case Family::kQwen2:
      return "qwen2";
    case Family::kQwen3:
      return "qwen3";
    case Family::kDeepseekMoe:
      return "deepseek_moe";
    case Family::kDeepseekV2:
      return "deepseek_v2";
    case Family::kDeepseekV3:
      return "deepseek_v3";
  }
  return "unknown";
}

std::string_view name(Tier tier) {
  switch (tier) {
    case Tier::kV1:
      return "V1";
    case Tier::kLite:
      return "Lite";
    case Tier::kNano:
      return "Nano";
  }
  return "unknown";
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return fail("there is no file or directory {}", path.string());
  }
  if (error) return fail("cannot open {}: {}", path.string(), error.message());
  if (std::filesystem::is_directory(status)) return open_hf_checkpoint(path);
  return open_gguf_checkpoint(path);
}

const Tensor* Checkpoint::find(std::string_view name) const {
  return find_tensor(tensors(), name);
}

void Checkpoint::prefetch(const Tensor& tensor, int64_t more_bytes) const {
  for (const MappedFile& file : files()) {
    if (!file.contains(tensor.data)) continue;
    const auto rest = file.bytes().subspan(static_cast<size_t>(tensor.data - file.bytes().data()));
    const auto wanted = static_cast<size_t>(tensor.bytes + more_bytes);
    file.prefetch(rest.first(std::min(rest.size(), wanted)));
  }
}

void Checkpoint::release(const Tensor& tensor) const {
  for (const MappedFile& file : files()) {
    if (!file.contains(tensor.data)) continue;
    file.release({tensor.data, static_cast<size_t>(tensor.bytes)});
  }
}

}  // namespace fathom

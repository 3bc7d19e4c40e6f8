#include "checkpoint/hf_checkpoint.h"

#include <system_error>
#include <utility>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_packed.h"
#include "checkpoint/hf_quantization.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/hf_weights.h"
#include "checkpoint/validate.h"

namespace fathom {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfig = 4U << 20;

class HfCheckpoint : public Checkpoint {
 public:
  static Result<std::unique_ptr<Checkpoint>> open(const fs::path& directory) {
    auto checkpoint = std::unique_ptr<HfCheckpoint>(new HfCheckpoint);
    checkpoint->path_ = directory;
    FATHOM_CHECK(checkpoint->fill());
    return checkpoint;
  }

  const ModelConfig& config() const override { return config_; }
  const TextSource& text() const override { return text_; }
  const GenerationDefaults& generation() const override { return generation_; }
  const fs::path& path() const override { return path_; }
  std::string_view format() const override { return "safetensors"; }
  const std::vector<Tensor>& tensors() const override { return tensors_; }
  std::span<const MappedFile> files() const override { return files_; }

 private:
  Status fill() {
    const fs::path config_path = path_ / "config.json";
    FATHOM_TRY(const std::string config_text, read_text_file(config_path, kMaxConfig));
    FATHOM_TRY(config_, parse_hf_config(config_text, config_path.string()));
    FATHOM_CHECK(validate_config(config_, config_path.string()));
    config_.model_name = fs::absolute(path_).lexically_normal().filename().string();
    if (config_.model_name.empty()) {  // "models/tiny/" ends in an empty name
      config_.model_name = fs::absolute(path_).lexically_normal().parent_path().filename().string();
    }
    FATHOM_TRY(const nlohmann::json config, parse_json(config_text, config_path.string()));
    FATHOM_TRY(const HfQuantization quantization,
               read_hf_quantization(config, config_path.string()));
    FATHOM_CHECK(read_weights(quantization));
    FATHOM_TRY(text_, read_hf_text(path_));
    return read_generation(config_text);
  }

  Status read_weights(const HfQuantization& quantization) {
    const std::string source = path_.string();
    FATHOM_TRY(HfWeights weights, open_hf_weights(path_));
    files_ = std::move(weights.files);
    if (quantization.storage != HfStorage::kPlain && quantization.storage != HfStorage::kFp8) {
      FATHOM_TRY(UnpackedTensors unpacked,
                 unpack_hf_tensors(weights.tensors, quantization, source));
      weights.tensors = std::move(unpacked.tensors);
      unpacked_ = std::move(unpacked.owned);
    }
    FATHOM_TRY(HfTensors prepared, prepare_hf_tensors(std::move(weights.tensors), source));
    tensors_ = std::move(prepared.tensors);
    owned_scales_ = std::move(prepared.owned_scales);
    complete_config(config_, tensors_);
    return validate_tensors(config_, tensors_, source);
  }

  Status read_generation(const std::string& config_text) {
    const fs::path path = path_ / "generation_config.json";
    std::string text;
    std::error_code error;
    if (fs::exists(path, error)) {
      FATHOM_TRY(text, read_text_file(path, kMaxConfig));
    }
    FATHOM_TRY(generation_, parse_hf_generation(text, config_text, config_.vocab_size));
    return {};
  }

  fs::path path_;
  std::vector<MappedFile> files_;
  std::vector<std::vector<float>> owned_scales_;
  std::vector<std::vector<std::byte>> unpacked_;  // weights that others packed, as ours
  ModelConfig config_;
  TextSource text_;
  GenerationDefaults generation_;
  std::vector<Tensor> tensors_;
};

// A directory without a config.json: say what may have been meant.
std::unexpected<Error> no_config(const fs::path& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".gguf") {
      return fail("{} has no config.json. It has {}: give that file's path", directory.string(),
                  entry.path().filename().string());
    }
  }
  return fail("{} is not a model: it has no config.json", directory.string());
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_hf_checkpoint(const fs::path& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(directory / "config.json", error);
  if (status.type() == fs::file_type::not_found) return no_config(directory);
  if (error) return fail("cannot read {}: {}", directory.string(), error.message());
  return HfCheckpoint::open(directory);
}

}  // namespace fathom

#include "checkpoint/gguf_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/mapped_file.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_text.h"
#include "checkpoint/validate.h"

namespace fathom {

namespace {

class GgufCheckpoint : public Checkpoint {
 public:
  static Result<std::unique_ptr<Checkpoint>> make(std::filesystem::path path,
                                                  std::vector<MappedFile> files,
                                                  std::vector<GgufFile> parts) {
    auto checkpoint = std::unique_ptr<GgufCheckpoint>(new GgufCheckpoint);
    checkpoint->path_ = std::move(path);
    checkpoint->files_ = std::move(files);
    FATHOM_CHECK(checkpoint->fill(std::move(parts)));
    return checkpoint;
  }

  const ModelConfig& config() const override { return config_; }
  const TextSource& text() const override { return text_.source; }
  const GenerationDefaults& generation() const override { return text_.generation; }
  const std::filesystem::path& path() const override { return path_; }
  std::string_view format() const override { return format_; }
  const std::vector<Tensor>& tensors() const override { return tensors_; }
  std::span<const MappedFile> files() const override { return files_; }

 private:
  Status fill(std::vector<GgufFile> parts) {
    const GgufMetadata& metadata = parts.front().metadata;
    const std::string& file = metadata.file();
    format_ = fmt::format("GGUF v{}", parts.front().version);
    std::vector<Tensor> tensors;
    for (GgufFile& part : parts) {
      std::ranges::move(part.tensors, std::back_inserter(tensors));
    }
    FATHOM_TRY(config_, gguf_config(metadata, tensors));
    FATHOM_CHECK(validate_config(config_, file));
    FATHOM_TRY(tensors_, to_hf_tensors(std::move(tensors), config_, file));
    complete_config(config_, tensors_);
    FATHOM_CHECK(validate_tensors(config_, tensors_, file));
    FATHOM_TRY(text_, gguf_text(metadata, config_.vocab_size));
    return {};
  }

  std::filesystem::path path_;
  std::vector<MappedFile> files_;
  ModelConfig config_;
  GgufText text_;
  std::string format_;
  std::vector<Tensor> tensors_;
};

// What a part of a split model says of itself must agree with its place in the file names.
Status check_part(const GgufFile& part, size_t index, size_t count) {
  const GgufMetadata& metadata = part.metadata;
  FATHOM_TRY(const auto stored_index, metadata.get_int("split.no"));
  FATHOM_TRY(const auto stored_count, metadata.get_int("split.count"));
  if (stored_count.value_or(1) != static_cast<int64_t>(count)) {
    return fail(
        "{} is one of {} parts of a split model, but was found as one of {}: keep the "
        "parts together, under the names they came with (...-00001-of-0000N.gguf)",
        metadata.file(), stored_count.value_or(1), count);
  }
  if (stored_index.value_or(0) != static_cast<int64_t>(index)) {
    return fail("{} is part {} of a split model, but its name says part {}", metadata.file(),
                stored_index.value_or(0) + 1, index + 1);
  }
  return {};
}

Status check_tensor_count(const std::vector<GgufFile>& parts) {
  const GgufMetadata& metadata = parts.front().metadata;
  FATHOM_TRY(const auto announced, metadata.get_int("split.tensors.count"));
  size_t found = 0;
  for (const GgufFile& part : parts) found += part.tensors.size();
  if (announced && *announced != static_cast<int64_t>(found)) {
    return fail("{}: the split model should have {} tensors, but its {} parts have {}",
                metadata.file(), *announced, parts.size(), found);
  }
  return {};
}

bool is_gguf(const MappedFile& file) {
  const auto bytes = file.bytes();
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_gguf_checkpoint(const std::filesystem::path& path) {
  FATHOM_TRY(MappedFile given, MappedFile::open(path));
  if (!is_gguf(given)) {
    return fail(
        "{} is not a model: it does not begin with \"GGUF\". Give a GGUF file, or a "
        "directory with config.json and safetensors files",
        path.string());
  }
  std::vector<MappedFile> files;
  std::vector<GgufFile> parts;
  const std::vector<std::filesystem::path> part_paths = gguf_parts(path);
  for (size_t i = 0; i < part_paths.size(); ++i) {
    auto file = MappedFile::open(part_paths[i]);
    if (!file) {
      return fail("part {} of {} of the split model is missing: {}", i + 1, part_paths.size(),
                  file.error().message);
    }
    FATHOM_TRY(GgufFile part, parse_gguf(file->bytes(), part_paths[i].string()));
    FATHOM_CHECK(check_part(part, i, part_paths.size()));
    files.push_back(*std::move(file));
    parts.push_back(std::move(part));
  }
  FATHOM_CHECK(check_tensor_count(parts));
  return GgufCheckpoint::make(path, std::move(files), std::move(parts));
}

Result<std::unique_ptr<Checkpoint>> read_gguf_checkpoint(std::span<const std::byte> bytes,
                                                         const std::string& file) {
  std::vector<GgufFile> parts;
  FATHOM_TRY(GgufFile gguf, parse_gguf(bytes, file));
  FATHOM_CHECK(check_part(gguf, 0, 1));
  parts.push_back(std::move(gguf));
  return GgufCheckpoint::make(file, {}, std::move(parts));
}

}  // namespace fathom

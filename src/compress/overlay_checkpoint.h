// A checkpoint with some of its tensors replaced: what a model is with its weights scaled or
// rounded, before that is written anywhere. Everything else is the original's, which must outlive
// it; so must the replacements' data.
#pragma once

#include <vector>

#include "checkpoint/checkpoint.h"

namespace fathom {

class OverlayCheckpoint final : public Checkpoint {
 public:
  // Replacements have names of the original's tensors, and their shapes.
  OverlayCheckpoint(const Checkpoint& original, const std::vector<Tensor>& replacements);

  const ModelConfig& config() const override { return original_.config(); }
  const TextSource& text() const override { return original_.text(); }
  const GenerationDefaults& generation() const override { return original_.generation(); }
  const std::filesystem::path& path() const override { return original_.path(); }
  std::string_view format() const override { return original_.format(); }
  const std::vector<Tensor>& tensors() const override { return tensors_; }
  std::span<const MappedFile> files() const override { return original_.files(); }

 private:
  const Checkpoint& original_;
  std::vector<Tensor> tensors_;
};

}  // namespace fathom

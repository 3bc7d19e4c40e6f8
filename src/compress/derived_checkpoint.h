// A checkpoint with other tensors than the one it is made of, and everything else the same. The
// original must outlive it.
#pragma once

#include <vector>

#include "checkpoint/checkpoint.h"

namespace fathom {

class DerivedCheckpoint : public Checkpoint {
 public:
  const ModelConfig& config() const override { return original_.config(); }
  const TextSource& text() const override { return original_.text(); }
  const GenerationDefaults& generation() const override { return original_.generation(); }
  const std::filesystem::path& path() const override { return original_.path(); }
  std::string_view format() const override { return original_.format(); }
  const std::vector<Tensor>& tensors() const override { return tensors_; }
  std::span<const MappedFile> files() const override { return original_.files(); }

 protected:
  DerivedCheckpoint(const Checkpoint& original, std::vector<Tensor> tensors)
      : original_(original), tensors_(std::move(tensors)) {}

  const Checkpoint& original_;
  std::vector<Tensor> tensors_;  // sorted by name, as everywhere
};

}  // namespace fathom

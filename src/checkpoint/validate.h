// What must hold before a model may be built from a checkpoint: a configuration that makes sense,
// and every tensor the family needs, in a type that can be computed with and the shape the
// configuration implies. Shared by all formats.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/model_config.h"
#include "tensor/tensor.h"

namespace fathom {

// `source` names the file in errors.
Status validate_config(const ModelConfig& config, std::string_view source);

// Tensors sorted by name. config must be valid.
Status validate_tensors(const ModelConfig& config, const std::vector<Tensor>& tensors,
                        std::string_view source);

// Binary search in tensors sorted by name; nullptr if there is none.
const Tensor* find_tensor(const std::vector<Tensor>& sorted, std::string_view name);

// Sets what only the tensors tell: MTP layers that are really there, biases, tied embeddings of
// GGUF files. Tensors sorted by name.
void complete_config(ModelConfig& config, const std::vector<Tensor>& sorted);

}  // namespace fathom

// What belongs to a Hugging Face directory beside its weights: config.json, which also describes
// how matrices are packed, and the tokenizer's and other small files. Of a directory they come
// along as they are; of a GGUF file they are made from its metadata.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/options.h"
#include "compress/packed_matrix.h"
#include "compress/tensor_plan.h"

namespace fathom {

// `checkpoint` is the source. Fails where its configuration or tokenizer cannot be said so.
Status write_companions(const Checkpoint& checkpoint, const std::filesystem::path& to,
                        PackedLayout layout, const QuantizeOptions& options,
                        const std::vector<PlannedTensor>& plan);

}  // namespace fathom

// A checkpoint with the tensors that the other kind of file has: one model in other pieces, which
// computes the same. GGUF's files hold the up-projection of latent attention in two parts, that of
// the keys transposed; Hugging Face's hold it as one matrix. Tensors that only describe the source
// (FP8's scales, tables of rope frequencies) are left out.
//
// The up-projections are decoded and kept, in 16 bits where they are stored so and F32 otherwise;
// all else is the original's, which must outlive this.
#pragma once

#include <memory>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/tensor_plan.h"

namespace fathom {

bool is_gguf(const Checkpoint& checkpoint);

// Fails for a tensor that the other kind of file has no place for.
Result<std::unique_ptr<Checkpoint>> rearrange(const Checkpoint& original, OutputFormat format);

}  // namespace fathom

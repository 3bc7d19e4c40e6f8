// A checkpoint that is on no disk: the shapes of a real model, taken from its published config,
// with random INT4 matrices, to judge the speed of a model without downloading it. What it computes
// is nonsense, but finite. Shapes:
//   distill-1.5b   DeepSeek-R1-Distill-Qwen-1.5B
//   lite-6.7b      DeepSeek-Coder-6.7B
//   v2-lite-16b    DeepSeek-V2-Lite
//   v3-slice       DeepSeek-V3 cut to one dense and one sparse layer of its 61. A sparse layer is
//                  6.4 GB; with the embedding and the head that makes 8 GB, and two would need 14.
// Every matrix is a view of one buffer as large as the largest of them, so that only what the
// kernels pack takes memory: the checkpoint itself holds 0.1 GB (0.5 GB for v3-slice).
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// Weights that share a scale: 32 (Q4_0), 64 or 128 (I4), where a matrix's rows are whole groups;
// else they are 32. Fails (kUsage) for another group and for an unknown shape, with the nearest
// names.
Result<std::unique_ptr<Checkpoint>> make_random_checkpoint(std::string_view shape, int group = 32);

}  // namespace fathom

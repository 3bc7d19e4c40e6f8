// Rows of q and k on their way from one kind of file to the other. In Hugging Face's files, an
// element of a head is rotated together with the one half a head further on; in GGUF's, of some
// families, with its neighbour, and the rows of each head lie accordingly.
#pragma once

#include <cstdint>
#include <string_view>

#include "checkpoint/gguf_keys.h"
#include "checkpoint/model_config.h"
#include "compress/tensor_plan.h"
#include "tensor/tensor.h"

namespace fathom {

class RowOrder {
 public:
  RowOrder() = default;  // as they stand
  RowOrder(const Tensor& tensor, const ModelConfig& config, OutputFormat format) {
    const std::string_view name = tensor.name;
    const bool rotated =
        name.ends_with(".self_attn.q_proj.weight") || name.ends_with(".self_attn.k_proj.weight") ||
        name.ends_with(".self_attn.q_proj.bias") || name.ends_with(".self_attn.k_proj.bias");
    const RopeLayout wanted =
        format == OutputFormat::kGguf ? RopeLayout::kInterleaved : RopeLayout::kHalves;
    if (!rotated || !gguf_interleaves_heads(config.family) || config.rope.layout == wanted) return;
    head_dim_ = config.head_dim;
    interleave_ = wanted == RopeLayout::kInterleaved;
  }

  bool as_it_stands() const { return head_dim_ == 0; }
  int64_t operator()(int64_t row) const {
    if (head_dim_ == 0) return row;
    const int64_t half = head_dim_ / 2;
    const int64_t in_head = row % head_dim_;
    const int64_t place =
        interleave_ ? in_head % half * 2 + in_head / half : in_head % 2 * half + in_head / 2;
    return row - in_head + place;
  }

 private:
  int64_t head_dim_ = 0;
  bool interleave_ = false;
};

}  // namespace fathom

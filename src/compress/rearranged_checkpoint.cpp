#include "compress/rearranged_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "checkpoint/gguf_names.h"
#include "compress/derived_checkpoint.h"
#include "tensor/dequantize.h"
#include "tensor/encode.h"

namespace fathom {

namespace {

class RearrangedCheckpoint final : public DerivedCheckpoint {
 public:
  explicit RearrangedCheckpoint(const Checkpoint& original) : DerivedCheckpoint(original, {}) {}

  Status fill(OutputFormat format) {
    const bool to_gguf = format == OutputFormat::kGguf;
    for (const Tensor& tensor : original_.tensors()) {
      const std::string_view name = tensor.name;
      const bool description = name.ends_with("_scale_inv") || name == "rope_freqs.weight" ||
                               name.ends_with(".rotary_emb.inv_freq");
      if (description || name.ends_with(".v_b_proj.weight")) continue;
      if (name.ends_with(".kv_b_proj.weight") && to_gguf) {
        split(tensor);
      } else if (name.ends_with(".k_b_proj.weight") && !to_gguf) {
        join(tensor);
      } else if (to_gguf ? gguf_name(name).has_value()
                         : name.starts_with("model.") || name == "lm_head.weight") {
        tensors_.push_back(tensor);
      } else {
        return fail("{}: {} has no place in a {}.", path().string(), name,
                    to_gguf ? "GGUF file" : "Hugging Face directory");
      }
    }
    std::ranges::sort(tensors_, {}, &Tensor::name);
    return {};
  }

 private:
  // A new tensor of the source's precision, filled by `write` from F32 rows.
  void add(const Tensor& like, std::string name, Shape shape, const std::vector<float>& values) {
    const bool half = like.dtype == DType::kF16 || like.dtype == DType::kBF16;
    const DType type = half ? like.dtype : DType::kF32;
    auto& bytes = owned_.emplace_back(static_cast<size_t>(byte_size(type, shape.elements())));
    encode(type, values.data(), shape.elements(), bytes.data());
    tensors_.push_back({.name = std::move(name),
                        .dtype = type,
                        .shape = shape,
                        .data = bytes.data(),
                        .bytes = static_cast<int64_t>(bytes.size())});
  }

  std::string beside(const Tensor& tensor, std::string_view last) const {
    const size_t module = tensor.name.rfind('.', tensor.name.size() - sizeof ".weight");
    return fmt::format("{}.{}.weight", tensor.name.substr(0, module), last);
  }

  void split(const Tensor& whole) {
    const MlaConfig& mla = config().mla;
    const int64_t heads = config().heads;
    const int64_t rank = mla.kv_lora_rank;
    std::vector<float> k(static_cast<size_t>(heads * rank * mla.nope_head_dim));
    std::vector<float> v(static_cast<size_t>(heads * mla.v_head_dim * rank));
    std::vector<float> row(static_cast<size_t>(rank));
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t first = head * (mla.nope_head_dim + mla.v_head_dim);
      for (int64_t i = 0; i < mla.nope_head_dim; ++i) {
        dequantize_rows(whole, first + i, 1, row.data());
        for (int64_t r = 0; r < rank; ++r) {
          k[static_cast<size_t>((head * rank + r) * mla.nope_head_dim + i)] =
              row[static_cast<size_t>(r)];
        }
      }
      dequantize_rows(whole, first + mla.nope_head_dim, mla.v_head_dim,
                      v.data() + head * mla.v_head_dim * rank);
    }
    add(whole, beside(whole, "k_b_proj"), {heads, rank, mla.nope_head_dim}, k);
    add(whole, beside(whole, "v_b_proj"), {heads, mla.v_head_dim, rank}, v);
  }

  void join(const Tensor& keys) {
    const MlaConfig& mla = config().mla;
    const int64_t heads = config().heads;
    const int64_t rank = mla.kv_lora_rank;
    const int64_t rows = mla.nope_head_dim + mla.v_head_dim;
    const Tensor& values = *original_.find(beside(keys, "v_b_proj"));
    std::vector<float> whole(static_cast<size_t>(heads * rows * rank));
    std::vector<float> row(static_cast<size_t>(mla.nope_head_dim));
    for (int64_t head = 0; head < heads; ++head) {
      float* out = whole.data() + head * rows * rank;
      for (int64_t r = 0; r < rank; ++r) {
        dequantize_rows(keys, head * rank + r, 1, row.data());
        for (int64_t i = 0; i < mla.nope_head_dim; ++i) {
          out[i * rank + r] = row[static_cast<size_t>(i)];
        }
      }
      dequantize_rows(values, head * mla.v_head_dim, mla.v_head_dim,
                      out + mla.nope_head_dim * rank);
    }
    add(keys, beside(keys, "kv_b_proj"), {heads * rows, rank}, whole);
  }

  std::deque<std::vector<std::byte>> owned_;
};

}  // namespace

bool is_gguf(const Checkpoint& checkpoint) {
  return checkpoint.format().starts_with("GGUF");
}

Result<std::unique_ptr<Checkpoint>> rearrange(const Checkpoint& original, OutputFormat format) {
  auto checkpoint = std::make_unique<RearrangedCheckpoint>(original);
  FATHOM_CHECK(checkpoint->fill(format));
  return checkpoint;
}

}  // namespace fathom

#include "layers/mla.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "layers/lora.h"
#include "layers/names.h"
#include "tensor/dequantize.h"

namespace fathom {

namespace {

std::vector<float> transposed(const std::vector<float>& values, int64_t rows, int64_t cols) {
  std::vector<float> out(values.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      out[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * cols + c)];
    }
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Attention>> LatentAttention::load(WeightLoader& loader, int64_t layer) {
  const ModelConfig& config = loader.config();
  const std::string prefix = layer_name(layer, "self_attn.");
  auto attention = std::make_unique<LatentAttention>();
  const MlaConfig& dims = attention->dims_ = config.mla;
  attention->layer_ = layer;
  attention->shape_ = {
      .heads = config.heads,
      .kv_heads = 1,
      .key_dim = dims.kv_lora_rank + dims.rope_head_dim,
      .value_dim = dims.kv_lora_rank,
      .scale = config.rope.softmax_mscale * config.rope.softmax_mscale /
               std::sqrt(static_cast<float>(dims.nope_head_dim + dims.rope_head_dim))};
  if (dims.q_lora_rank > 0) {
    FATHOM_TRY(attention->q_a_, loader.linear(prefix + "q_a_proj"));
    FATHOM_TRY(attention->q_a_norm_, RmsNorm::load(loader, prefix + "q_a_layernorm"));
    FATHOM_TRY(attention->q_b_, loader.linear(prefix + "q_b_proj"));
  } else {
    FATHOM_TRY(attention->q_, loader.linear(prefix + "q_proj"));
  }
  FATHOM_TRY(attention->kv_a_, loader.linear(prefix + "kv_a_proj_with_mqa"));
  FATHOM_TRY(attention->kv_a_norm_, RmsNorm::load(loader, prefix + "kv_a_layernorm"));
  FATHOM_CHECK(attention->load_heads(loader, prefix));
  FATHOM_TRY(attention->o_, loader.linear(prefix + "o_proj"));
  return attention;
}

Status LatentAttention::load_heads(WeightLoader& loader, const std::string& prefix) {
  const int64_t nope = dims_.nope_head_dim;
  const int64_t v = dims_.v_head_dim;
  const int64_t rank = dims_.kv_lora_rank;
  kv_b_site_ = loader.add_site(prefix + "kv_b_proj");

  if (loader.has(prefix + "k_b_proj.weight")) {
    FATHOM_TRY(const Tensor* keys, loader.tensor(prefix + "k_b_proj.weight"));
    FATHOM_TRY(const Tensor* values, loader.tensor(prefix + "v_b_proj.weight"));
    for (int64_t h = 0; h < shape_.heads; ++h) {
      FATHOM_TRY(PackedMatrix key, loader.pack(slice_rows(*keys, h * rank, rank)));
      FATHOM_TRY(PackedMatrix value, loader.pack(slice_rows(*values, h * v, v)));
      key_up_.push_back(std::move(key));
      value_up_.push_back(std::move(value));
    }
    return {};
  }

  // One stored matrix, heads of [nope key rows | v value rows]. The key half is wanted transposed,
  // which a block format cannot be, so it is kept in a plain type.
  FATHOM_TRY(const Tensor* both, loader.tensor(prefix + "kv_b_proj.weight"));
  const bool whole_blocks = both->dtype != DType::kF8E4M3;
  const auto decoded = [&](int64_t first, int64_t rows) {
    std::vector<float> values(static_cast<size_t>(rows * rank));
    dequantize_rows(*both, first, rows, values.data());
    return values;
  };
  for (int64_t h = 0; h < shape_.heads; ++h) {
    const int64_t first = h * (nope + v);
    const auto key = [&] { return transposed(decoded(first, nope), nope, rank); };
    key_up_.push_back(loader.pack_computed(fmt::format("{}key_up.{}", prefix, h), rank, nope, key));
    if (whole_blocks) {
      FATHOM_TRY(PackedMatrix value, loader.pack(slice_rows(*both, first + nope, v)));
      value_up_.push_back(std::move(value));
    } else {
      const auto value = [&] { return decoded(first + nope, v); };
      value_up_.push_back(
          loader.pack_computed(fmt::format("{}value_up.{}", prefix, h), v, rank, value));
    }
  }
  return {};
}

void LatentAttention::project_input(const Step& step, const float* x, float* q, float* key) const {
  const int64_t hidden = kv_a_.w.in;
  const int64_t q_width = shape_.heads * (dims_.nope_head_dim + dims_.rope_head_dim);
  const Projection latent = {&kv_a_, key, kv_a_.w.out, true};
  if (q_) return project(step, x, hidden, {{&*q_, q, q_width}, latent});
  const Workspace::Scope scope(step.workspace);
  const int64_t rank = dims_.q_lora_rank;
  float* low = step.workspace.floats(step.rows * rank);
  project(step, x, hidden, {{&*q_a_, low, rank}, latent});
  q_a_norm_->forward(step.kernels, low, rank, step.rows, low, rank);
  project(step, low, rank, {{&*q_b_, q, q_width}});
}

void LatentAttention::add_head_lora(const Step& step, int64_t part, const MatmulJob* jobs) const {
  if (step.lora.empty()) return;
  const Workspace::Scope scope(step.workspace);
  auto* places = step.workspace.array<LoraPlace>(shape_.heads);
  for (int64_t h = 0; h < shape_.heads; ++h) {
    places[h] = {.site = kv_b_site_,
                 .part = part + h,
                 .x = jobs[h].x,
                 .x_stride = jobs[h].x_stride,
                 .y = jobs[h].y,
                 .y_stride = jobs[h].y_stride};
  }
  add_lora(step, std::span<const LoraPlace>(places, static_cast<size_t>(shape_.heads)));
}

void LatentAttention::forward(const Step& step, const float* x, float* y) const {
  const Workspace::Scope scope(step.workspace);
  const int64_t rows = step.rows;
  const int64_t heads = shape_.heads;
  const int64_t nope = dims_.nope_head_dim;
  const int64_t rope = dims_.rope_head_dim;
  const int64_t v = dims_.v_head_dim;
  const int64_t rank = dims_.kv_lora_rank;
  const int64_t key_dim = rank + rope;
  const int64_t q_width = heads * (nope + rope);

  float* q = step.workspace.floats(rows * q_width);               // [rows, heads * (nope + rope)]
  float* key = step.workspace.floats(rows * key_dim);             // [rows, latent | rotary key]
  float* wide_q = step.workspace.floats(rows * heads * key_dim);  // [rows, heads * (rank + rope)]
  float* latent = step.workspace.floats(rows * heads * rank);     // [rows, heads * rank]
  float* out = step.workspace.floats(rows * heads * v);           // [rows, heads * v]
  auto* jobs = step.workspace.array<MatmulJob>(heads);

  project_input(step, x, q, key);
  kv_a_norm_.forward(step.kernels, key, key_dim, rows, key, key_dim);
  step.rotate(key + rank, key_dim, 1, key_dim);
  step.rotate(q + nope, q_width, heads, nope + rope);

  for (int64_t h = 0; h < heads; ++h) {
    jobs[h] = {.w = &key_up_[static_cast<size_t>(h)],
               .x = q + h * (nope + rope),
               .x_stride = q_width,
               .rows = rows,
               .y = wide_q + h * key_dim,
               .y_stride = heads * key_dim};
  }
  step.kernels.matmul(std::span(jobs, static_cast<size_t>(heads)));
  add_head_lora(step, 0, jobs);
  for (int64_t r = 0; r < rows * heads; ++r) {
    std::memcpy(wide_q + r * key_dim + rank, q + r * (nope + rope) + nope,
                static_cast<size_t>(rope) * sizeof(float));
  }

  step.attend(layer_, shape_, key, key_dim, nullptr, 0, wide_q, latent);

  for (int64_t h = 0; h < heads; ++h) {
    jobs[h] = {.w = &value_up_[static_cast<size_t>(h)],
               .x = latent + h * rank,
               .x_stride = heads * rank,
               .rows = rows,
               .y = out + h * v,
               .y_stride = heads * v};
  }
  step.kernels.matmul(std::span(jobs, static_cast<size_t>(heads)));
  add_head_lora(step, heads, jobs);
  project(step, out, heads * v, {{&o_, y, o_.w.out}});
}

}  // namespace fathom

#include "layers/lora.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <unordered_map>
#include <utility>

#include "base/assert.h"

namespace fathom {

namespace {

// A matrix of values that nothing else keeps.
PackedMatrix pack_values(Kernels& kernels, const std::vector<float>& values, int64_t rows,
                         int64_t cols, int64_t& total) {
  const auto owned = std::make_shared<const std::vector<float>>(values);
  Tensor tensor;
  tensor.shape = {rows, cols};
  tensor.data = reinterpret_cast<const std::byte*>(owned->data());
  tensor.bytes = rows * cols * static_cast<int64_t>(sizeof(float));
  PackedMatrix packed = kernels.pack(tensor);
  if (packed.bytes == 0) packed.data = std::shared_ptr<const std::byte>(owned, tensor.data);
  total += packed.bytes > 0 ? packed.bytes : tensor.bytes;
  return packed;
}

LoraMatrix pack_pair(Kernels& kernels, const LoraMatrices& m, int64_t& total) {
  return {pack_values(kernels, m.a, m.rank, m.in, total),
          pack_values(kernels, m.b, m.out, m.rank, total)};
}

}  // namespace

Result<std::shared_ptr<const LoraWeights>> LoraWeights::make(const LoraAdapter& adapter,
                                                             const ModelConfig& config,
                                                             std::span<const std::string> sites,
                                                             Kernels& kernels) {
  std::unordered_map<std::string_view, size_t> numbers;
  for (size_t i = 0; i < sites.size(); ++i) numbers.emplace(sites[i], i);
  static std::atomic<int64_t> made_so_far = 0;
  auto made = std::make_shared<LoraWeights>();
  made->id_ = ++made_so_far;
  made->sites_.resize(sites.size());
  for (const LoraMatrices& m : adapter.modules) {
    const auto found = numbers.find(m.module);
    if (found == numbers.end()) {
      return fail("{}: it changes {}, which this model does not compute with.",
                  adapter.path.string(), m.module);
    }
    auto& parts = made->sites_[found->second];
    if (!config.is_mla() || !m.module.ends_with(".kv_b_proj")) {
      parts.push_back(pack_pair(kernels, m, made->bytes_));
      continue;
    }
    parts.reserve(static_cast<size_t>(2 * config.heads));
    for (int64_t h = 0; h < config.heads; ++h) {
      parts.push_back(pack_pair(kernels, latent_key_part(m, config.mla, h), made->bytes_));
    }
    for (int64_t h = 0; h < config.heads; ++h) {
      parts.push_back(pack_pair(kernels, latent_value_part(m, config.mla, h), made->bytes_));
    }
  }
  return made;
}

void add_lora(const Step& step, std::span<const LoraJob> jobs) {
  if (jobs.empty()) return;
  Workspace& workspace = step.workspace;
  const Workspace::Scope scope(workspace);
  const auto count = static_cast<int64_t>(jobs.size());
  auto* products = workspace.array<MatmulJob>(count);
  int64_t rows = 0;
  for (int64_t i = 0; i < count; ++i) {
    const LoraJob& job = jobs[static_cast<size_t>(i)];
    const auto job_rows = std::ssize(job.x_rows);
    const int64_t rank = job.matrix->a.out;
    products[i] = {.w = &job.matrix->a,
                   .x = job.x,
                   .x_stride = job.x_stride,
                   .x_rows = job.x_rows.data(),
                   .rows = job_rows,
                   .y = workspace.floats(job_rows * rank),
                   .y_stride = rank};
    rows += job_rows;
  }
  step.kernels.matmul(std::span(products, jobs.size()));

  auto* target = workspace.array<int32_t>(rows);
  float* scale = workspace.floats(rows);
  std::fill_n(scale, rows, 1.0F);
  int64_t row = 0;
  for (int64_t begin = 0; begin < count;) {
    // Those of one y lie together, and are added together.
    int64_t end = begin;
    int64_t width_rows = 0;
    for (; end < count && jobs[static_cast<size_t>(end)].y == jobs[static_cast<size_t>(begin)].y;
         ++end) {
      width_rows += products[end].rows;
    }
    const int64_t out = jobs[static_cast<size_t>(begin)].matrix->b.out;
    float* delta = workspace.floats(width_rows * out);
    for (; begin < end; ++begin) {
      const LoraJob& job = jobs[static_cast<size_t>(begin)];
      MatmulJob& product = products[begin];
      product = {.w = &job.matrix->b,
                 .x = product.y,
                 .x_stride = product.y_stride,
                 .rows = product.rows,
                 .y = delta,
                 .y_stride = out};
      std::copy_n(job.y_rows, product.rows, target + row);
      row += product.rows;
      delta += product.rows * out;
    }
  }
  step.kernels.matmul(std::span(products, jobs.size()));

  row = 0;
  for (int64_t begin = 0; begin < count;) {
    const LoraJob& first = jobs[static_cast<size_t>(begin)];
    const float* delta = products[begin].y;
    int64_t added = 0;
    for (; begin < count && jobs[static_cast<size_t>(begin)].y == first.y; ++begin) {
      added += products[begin].rows;
    }
    const auto many = static_cast<size_t>(added);
    step.kernels.scatter_add(delta, first.matrix->b.out, std::span(target + row, many),
                             std::span(scale + row, many), first.matrix->b.out, first.y,
                             first.y_stride);
    row += added;
  }
}

void add_lora(const Step& step, std::span<const LoraPlace> places) {
  if (step.lora.empty()) return;
  const Workspace::Scope scope(step.workspace);
  const auto most = static_cast<int64_t>(places.size() * step.lora.size());
  auto* jobs = step.workspace.array<LoraJob>(most);
  size_t count = 0;
  for (const LoraPlace& place : places) {
    for (const LoraRows& group : step.lora) {
      const LoraMatrix* matrix = group.adapter->at(place.site, place.part);
      if (matrix == nullptr) continue;
      jobs[count++] = {.matrix = matrix,
                       .x = place.x,
                       .x_stride = place.x_stride,
                       .x_rows = group.rows,
                       .y = place.y,
                       .y_stride = place.y_stride,
                       .y_rows = group.rows.data()};
    }
  }
  add_lora(step, std::span<const LoraJob>(jobs, count));
}

void project(const Step& step, const float* x, int64_t x_stride,
             std::initializer_list<Projection> projections) {
  project(step.kernels, x, x_stride, step.rows, projections);
  if (step.lora.empty()) return;
  std::array<LoraPlace, 4> places;
  size_t count = 0;
  for (const Projection& p : projections) {
    places[count++] = {
        .site = p.linear->site, .x = x, .x_stride = x_stride, .y = p.y, .y_stride = p.y_stride};
  }
  add_lora(step, std::span<const LoraPlace>(places.data(), count));
}

}  // namespace fathom

#include "layers/lora.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "base/assert.h"
#include "tensor/encode.h"

namespace fathom {

namespace {

constexpr float kLargestHalf = 65504.0F;
// Adding fewer than these is quicker than waking the other threads.
constexpr int64_t kSerialFloats = 32 * 1024;
constexpr float kSmallestNormalHalf = 6.103515625e-05F;

// Halves are read twice as fast. A matrix whose largest value is a normal half loses at most 2^-11
// of it to rounding, also where small values have fewer bits.
bool fits_halves(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest >= kSmallestNormalHalf && largest <= kLargestHalf;
}

// A matrix of values that nothing else keeps. Kernels that compute in place are the exact ones.
PackedMatrix pack_values(Kernels& kernels, const std::vector<float>& values, int64_t rows,
                         int64_t cols, int64_t& total) {
  Tensor tensor;
  tensor.shape = {rows, cols};
  const bool halves = kernels.layout_version() != 0 && fits_halves(values);
  tensor.dtype = halves ? DType::kF16 : DType::kF32;
  tensor.bytes = byte_size(tensor.dtype, rows * cols);
  const auto owned = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(tensor.bytes));
  encode(tensor.dtype, values.data(), rows * cols, owned->data());
  tensor.data = owned->data();
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

namespace {

// A x for each job, into memory of its own. products: one for each job, to be multiplied.
void lower(const Step& step, std::span<const LoraJob> jobs, MatmulJob* products) {
  for (size_t i = 0; i < jobs.size(); ++i) {
    const LoraJob& job = jobs[i];
    const auto rows = std::ssize(job.x_rows);
    const int64_t rank = job.matrix->a.out;
    products[i] = {.w = &job.matrix->a,
                   .x = job.x,
                   .x_stride = job.x_stride,
                   .x_rows = job.x_rows.data(),
                   .rows = rows,
                   .y = step.workspace.floats(rows * rank),
                   .y_stride = rank};
  }
}

void add_row(const LoraJob& job, int64_t row, const float* delta) {
  float* y = job.y + job.y_rows[row] * job.y_stride;
  for (int64_t c = 0; c < job.matrix->b.out; ++c) y[c] += delta[c];
}

// y += B (A x), once the products of lower() are there.
void raise(const Step& step, std::span<const LoraJob> jobs, MatmulJob* products) {
  const auto count = std::ssize(jobs);
  auto* first_row = step.workspace.array<int64_t>(count + 1);
  first_row[0] = 0;
  int64_t floats = 0;
  for (int64_t i = 0; i < count; ++i) {
    const PackedMatrix& b = jobs[static_cast<size_t>(i)].matrix->b;
    MatmulJob& product = products[i];
    product = {.w = &b,
               .x = product.y,
               .x_stride = product.y_stride,
               .rows = product.rows,
               .y = step.workspace.floats(product.rows * b.out),
               .y_stride = b.out};
    first_row[i + 1] = first_row[i] + product.rows;
    floats += product.rows * b.out;
  }
  step.kernels.matmul(std::span(products, jobs.size()));
  // No two rows of the jobs are one row of y: they may be added in any order.
  const auto add = [&](int64_t begin, int64_t end) {
    auto job = std::upper_bound(first_row, first_row + count, begin) - first_row - 1;
    for (int64_t row = begin; row < end; ++row) {
      while (row >= first_row[job + 1]) ++job;
      const int64_t within = row - first_row[job];
      add_row(jobs[static_cast<size_t>(job)], within,
              products[job].y + within * products[job].y_stride);
    }
  };
  if (floats <= kSerialFloats) {
    add(0, first_row[count]);
  } else {
    const int64_t grain = std::max<int64_t>(1, kSerialFloats / 4 * first_row[count] / floats);
    step.kernels.threads().parallel_for(first_row[count], grain, add);
  }
}

// In the step's workspace.
std::span<const LoraJob> jobs_at(const Step& step, std::span<const LoraPlace> places) {
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
  return {jobs, count};
}

}  // namespace

void add_lora(const Step& step, std::span<const LoraJob> jobs) {
  if (jobs.empty()) return;
  const Workspace::Scope scope(step.workspace);
  auto* products = step.workspace.array<MatmulJob>(std::ssize(jobs));
  lower(step, jobs, products);
  step.kernels.matmul(std::span(products, jobs.size()));
  raise(step, jobs, products);
}

void add_lora(const Step& step, std::span<const LoraPlace> places) {
  if (step.lora.empty()) return;
  const Workspace::Scope scope(step.workspace);
  add_lora(step, jobs_at(step, places));
}

void project(const Step& step, const float* x, int64_t x_stride,
             std::initializer_list<Projection> projections) {
  if (step.lora.empty()) {
    return project(step.kernels, x, x_stride, step.rows, projections);
  }
  const Workspace::Scope scope(step.workspace);
  std::array<LoraPlace, 4> places;
  FATHOM_ASSERT(projections.size() <= places.size());
  size_t count = 0;
  for (const Projection& p : projections) {
    places[count++] = {
        .site = p.linear->site, .x = x, .x_stride = x_stride, .y = p.y, .y_stride = p.y_stride};
  }
  const auto jobs = jobs_at(step, std::span<const LoraPlace>(places.data(), count));
  // What adapters make of x is computed beside what the weights make of it.
  auto* all = step.workspace.array<MatmulJob>(std::ssize(jobs) + static_cast<int64_t>(count));
  MatmulJob* const products = all + count;
  MatmulJob* next = all;
  for (const Projection& p : projections) {
    *next++ = {.w = &p.linear->w,
               .x = x,
               .x_stride = x_stride,
               .rows = step.rows,
               .y = p.y,
               .y_stride = p.y_stride,
               .fine_input = p.fine_input};
  }
  lower(step, jobs, products);
  step.kernels.matmul(std::span(all, count + jobs.size()));
  for (const Projection& p : projections) {
    const auto& bias = p.linear->bias;
    if (bias.empty()) continue;
    step.kernels.add_bias(p.y, p.y_stride, bias.data(), step.rows, p.linear->w.out);
  }
  if (!jobs.empty()) raise(step, jobs, products);
}

}  // namespace fathom

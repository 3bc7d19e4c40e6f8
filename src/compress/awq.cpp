#include "compress/awq.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <span>

#include "base/assert.h"
#include "compress/codec.h"
#include "compress/group_scale.h"

namespace fathom {

namespace {

constexpr int kExponents = 20;        // a = 0, 1/20, ... 19/20
constexpr int64_t kJudgedRows = 512;  // of a matrix, evenly spread: enough to choose a by
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kMostGroup = 128;

// d H d^T for a group.
float output_error(const float* d, const float* h, int64_t size) {
  float error = 0;
  for (int64_t i = 0; i < size; ++i) {
    float sum = 0;
    const float* row = h + i * size;
    // Four chains, so that additions need not wait for each other.
    std::array<float, 4> chain{};
    for (int64_t j = 0; j < size; j += 4) {
      for (size_t k = 0; k < 4; ++k)
        chain[k] += row[j + static_cast<int64_t>(k)] * d[j + static_cast<int64_t>(k)];
    }
    sum = (chain[0] + chain[1]) + (chain[2] + chain[3]);
    error += d[i] * sum;
  }
  return error;
}

void round_plainly(const GroupCodec& codec, std::span<const float> values, float* out) {
  codec.snap(codec.fit(values, 1.0F), values, out);
}
void round_plainly(const SuperBlockCodec& codec, std::span<const float> values, float* out) {
  codec.approximate(values, out);
}

// The error of one row when its columns are multiplied by s before rounding.
template <typename Codec>
double row_error(const Codec& codec, const InputStatistics& statistics, const float* row,
                 const float* s) {
  const int64_t size = statistics.block();
  std::array<float, kMostGroup> scaled;
  std::array<float, kMostGroup> difference;
  double error = 0;
  for (int64_t g = 0; g < statistics.width() / size; ++g) {
    const float* w = row + g * size;
    const float* sg = s + g * size;
    for (int64_t i = 0; i < size; ++i) scaled[static_cast<size_t>(i)] = w[i] * sg[i];
    const std::span group(scaled.data(), static_cast<size_t>(size));
    round_plainly(codec, group, difference.data());
    for (int64_t i = 0; i < size; ++i) {
      const auto at = static_cast<size_t>(i);
      difference[at] = difference[at] / sg[i] - w[i];
    }
    error +=
        static_cast<double>(output_error(difference.data(), statistics.diagonal_block(g), size));
  }
  return error;
}

// Mean magnitude of the site's input, for each row of its producer.
std::vector<float> producer_magnitudes(const Site& site,
                                       const std::vector<const InputStatistics*>& statistics) {
  std::vector<double> sums(static_cast<size_t>(site.producer_width()));
  double tokens = 0;
  for (const InputStatistics* input : statistics) {
    if (input->rows() == 0) continue;
    const std::vector<float> means = input->mean_magnitudes();
    for (int64_t c = 0; c < site.width(); ++c) {
      sums[static_cast<size_t>(site.producer_row(c))] +=
          static_cast<double>(means[static_cast<size_t>(c)]) * input->rows();
    }
    tokens += input->rows();
  }
  std::vector<float> magnitudes(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    magnitudes[i] = static_cast<float>(sums[i] / tokens / static_cast<double>(site.heads_per_row));
  }
  return magnitudes;
}

// s = magnitude^a, around 1: divided by the square root of largest times smallest.
std::vector<float> scales_for(const std::vector<float>& magnitudes, float exponent) {
  std::vector<float> s(magnitudes.size());
  for (size_t i = 0; i < s.size(); ++i) {
    s[i] = std::max(std::pow(std::max(magnitudes[i], 1e-8F), exponent), 1e-4F);
  }
  const auto [least, most] = std::ranges::minmax(s);
  const float middle = std::sqrt(least * most);
  for (float& factor : s) factor /= middle;
  return s;
}

std::vector<float> spread(const Site& site, const std::vector<float>& s) {
  std::vector<float> columns(static_cast<size_t>(site.width()));
  for (int64_t c = 0; c < site.width(); ++c) {
    columns[static_cast<size_t>(c)] = s[static_cast<size_t>(site.producer_row(c))];
  }
  return columns;
}

void multiply(std::vector<float>& factors, const std::vector<float>& by) {
  if (factors.empty()) factors.assign(by.size(), 1.0F);
  FATHOM_ASSERT(factors.size() == by.size());
  for (size_t i = 0; i < by.size(); ++i) factors[i] *= by[i];
}

}  // namespace

void fold(const Site& site, const std::vector<float>& s, Folds& folds) {
  const std::vector<float> columns = spread(site, s);
  for (const Site::Consumer& consumer : site.consumers) {
    multiply(folds.of(*consumer.weight).columns, columns);
  }
  for (const Tensor* tensor : site.exact) multiply(folds.of(*tensor).columns, columns);
  std::vector<float> inverse(s.size());
  for (size_t i = 0; i < s.size(); ++i) inverse[i] = 1.0F / s[i];
  for (const Tensor* tensor : site.producers) multiply(folds.of(*tensor).rows, inverse);
}

double search_scales(const Site& site, const std::vector<const InputStatistics*>& statistics,
                     const TypeOf& type_of, bool positive, ThreadPool& threads, Folds& folds) {
  const bool reached =
      std::ranges::any_of(statistics, [](const auto* input) { return input->rows() > 0; });
  if (site.producers.empty() || !reached) return 1;
  const std::vector<float> magnitudes = producer_magnitudes(site, statistics);
  std::vector<std::vector<float>> candidates;   // as fold() wants them
  std::vector<std::vector<float>> for_columns;  // for each column of the input
  for (int i = 0; i < kExponents; ++i) {
    candidates.push_back(
        scales_for(magnitudes, static_cast<float>(i) / static_cast<float>(kExponents)));
    for_columns.push_back(spread(site, candidates.back()));
  }

  std::array<double, kExponents> total{};
  for (const Site::Consumer& consumer : site.consumers) {
    const Tensor& weight = *consumer.weight;
    const InputStatistics& input = *statistics[consumer.input];
    const DType type = type_of(weight);
    if (input.rows() == 0 || !has_codec(type)) continue;
    FATHOM_ASSERT(judged_block(type) == input.block() && input.width() == weight.shape[1]);
    const int64_t rows = std::min(weight.shape[0], kJudgedRows);
    // Summed in the order of rows, so that threads make no difference.
    std::vector<std::array<double, kExponents>> errors(static_cast<size_t>(rows));
    threads.parallel_for(rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(input.width()));
      for (int64_t r = begin; r < end; ++r) {
        folds.read(weight, r * weight.shape[0] / rows, 1, row.data());
        with_codec(type, positive, [&](const auto& codec) {
          for (size_t k = 0; k < kExponents; ++k) {
            errors[static_cast<size_t>(r)][k] =
                row_error(codec, input, row.data(), for_columns[k].data());
          }
        });
      }
    });
    const double share = static_cast<double>(weight.shape[0]) / static_cast<double>(rows);
    for (const auto& row : errors) {
      for (size_t k = 0; k < kExponents; ++k) total[k] += share * row[k];
    }
  }
  const size_t best = static_cast<size_t>(std::ranges::min_element(total) - total.begin());
  if (best == 0 || !(total[best] < total[0])) return 1;
  fold(site, candidates[best], folds);
  return total[best] / total[0];
}

void encode_clipped(const GroupCodec& codec, const InputStatistics& statistics,
                    const std::vector<float>& columns, const float* values, int64_t rows,
                    std::byte* out) {
  const int64_t size = codec.size();
  const auto count = static_cast<size_t>(size);
  std::array<float, kMostGroup> snapped;
  std::array<float, kMostGroup> importance;
  std::array<int8_t, kMostGroup> codes;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < statistics.width() / size; ++g, out += codec.bytes()) {
      const float* w = values + r * statistics.width() + g * size;
      const std::span group(w, count);
      const float* moments = statistics.diagonal_block(g);
      const float* s = columns.empty() ? nullptr : columns.data() + g * size;
      for (size_t i = 0; i < count; ++i) {
        importance[i] = moments[i * (count + 1)] / (s == nullptr ? 1.0F : s[i] * s[i]);
      }
      const GroupScale best =
          best_scale(codec, group, importance.data(), [&](const GroupScale& scale) {
            codec.snap(scale, group, snapped.data());
            for (size_t i = 0; i < count; ++i) {
              snapped[i] -= w[i];
              if (s != nullptr) snapped[i] /= s[i];
            }
            return output_error(snapped.data(), moments, size);
          });
      for (size_t i = 0; i < count; ++i) codes[i] = static_cast<int8_t>(codec.nearest(best, w[i]));
      codec.write(best, std::span(codes).first(count), out);
    }
  }
}

void encode_clipped(const SuperBlockCodec& codec, const InputStatistics& statistics,
                    const std::vector<float>& columns, const float* values, int64_t rows,
                    std::byte* out) {
  const int64_t width = statistics.width();
  std::vector<float> importance = statistics.diagonal();
  for (size_t i = 0; i < columns.size(); ++i) importance[i] /= columns[i] * columns[i];
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t at = 0; at < width; at += SuperBlockCodec::kSize, out += codec.bytes()) {
      codec.encode({values + r * width + at, static_cast<size_t>(SuperBlockCodec::kSize)},
                   importance.data() + at, out);
    }
  }
}

}  // namespace fathom

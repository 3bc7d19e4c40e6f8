// Tiny checkpoints of tests/golden, and what a model computes on random prompts.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "models/model.h"

namespace fathom {

inline std::filesystem::path golden_model(const std::string& name) {
  return std::filesystem::path(FATHOM_TEST_DATA) / "golden" / "models" / name;
}

inline std::unique_ptr<Checkpoint> open_checkpoint(const std::filesystem::path& path) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return checkpoint ? *std::move(checkpoint) : nullptr;
}

inline std::vector<std::vector<int32_t>> random_windows(const Checkpoint& checkpoint, size_t count,
                                                        size_t length, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int32_t> token(
      0, static_cast<int32_t>(checkpoint.config().vocab_size) - 1);
  std::vector<std::vector<int32_t>> windows(count, std::vector<int32_t>(length));
  for (auto& window : windows) {
    for (int32_t& id : window) id = token(random);
  }
  return windows;
}

// Logits of all positions of all windows, by the reference kernels.
inline std::vector<float> logits_of(const Checkpoint& checkpoint,
                                    const std::vector<std::vector<int32_t>>& windows) {
  const auto kernels = Kernels::make(KernelChoice::kReference, 2);
  auto model = LanguageModel::load(checkpoint, *kernels);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  auto cache = CachePool::make((*model)->cache_layout(), 8);
  EXPECT_TRUE(cache);
  std::vector<int32_t> pages(8);
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<float> all;
  for (const auto& window : windows) {
    Batch batch;
    batch.sequences.push_back({window, 0, pages, BatchSequence::Logits::kAll});
    const auto rows = (*model)->forward(batch, *cache);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

inline double mean_square_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  EXPECT_FALSE(a.empty());
  double sum = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum / static_cast<double>(a.size());
}

}  // namespace fathom

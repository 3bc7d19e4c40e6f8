#include "checkpoint/random_adapter.h"

#include <cmath>
#include <random>

#include "base/assert.h"

namespace fathom {

namespace {

// As large as what training leaves of B, which begins at zero.
constexpr float kUpRange = 0.01F;

std::vector<float> draw(int64_t count, float range, std::minstd_rand& random) {
  std::uniform_real_distribution<float> uniform(-range, range);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(random);
  return values;
}

}  // namespace

LoraAdapter random_lora_adapter(const Checkpoint& checkpoint, std::span<const std::string> modules,
                                int64_t rank, uint32_t seed) {
  std::minstd_rand random(seed);
  LoraAdapter adapter{.path = "random", .modules = {}};
  adapter.modules.reserve(modules.size());
  for (const std::string& module : modules) {
    const auto shape = adaptable_shape(checkpoint, module);
    FATHOM_ASSERT(shape.has_value());
    const float down_range = 1 / std::sqrt(static_cast<float>(shape->in));
    adapter.modules.push_back({.module = module,
                               .rank = rank,
                               .in = shape->in,
                               .out = shape->out,
                               .a = draw(rank * shape->in, down_range, random),
                               .b = draw(shape->out * rank, kUpRange, random)});
  }
  return adapter;
}

}  // namespace fathom

#include "engine/speculation/batch_drafter.h"

#include <limits>

#include "engine/engine.h"

namespace fathom {
namespace {

int32_t most_likely(std::span<const float> logits) {
  int32_t best = -1;
  float most = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > most) {
      most = logits[i];
      best = static_cast<int32_t>(i);
    }
  }
  return best;
}

}  // namespace

void most_likely_tokens(const Engine& engine, std::span<const float> logits, int64_t vocab_size,
                        std::vector<int32_t>& tokens) {
  const auto width = static_cast<size_t>(engine.info.vocab_size);
  tokens.assign(logits.size() / width, -1);
  engine.kernels->threads().parallel_for(std::ssize(tokens), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      tokens[i] = most_likely(logits.subspan(i * width, static_cast<size_t>(vocab_size)));
    }
  });
}

}  // namespace fathom

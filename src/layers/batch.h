// The work of one step: a ragged list of sequences, each with the tokens to process now. One long
// entry is prefill, many one-token entries are decode, any mix is continuous batching; there is
// one code path for all. Rows of all activations are the tokens of all sequences, in order.
//
// Plain data, owned by the engine, read-only to layers; spans stay valid for the step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention.h"

namespace fathom {

class LoraWeights;

struct BatchSequence {
  std::span<const int32_t> tokens;  // to process now; at least one
  int64_t position = 0;             // of tokens[0]: how many came before
  std::span<const int32_t> pages;   // page table, with room for position + tokens.size()
  // Which of the tokens need logits: none, the last, or all.
  enum class Logits { kNone, kLast, kAll } logits = Logits::kLast;
  bool hidden_states = false;  // keep those of all its tokens: LanguageModel::hidden_states()
  const LoraWeights* adapter = nullptr;  // of this model; null: its weights as they are
};

struct Batch {
  std::vector<BatchSequence> sequences;

  int64_t tokens() const {
    int64_t n = 0;
    for (const auto& s : sequences) n += static_cast<int64_t>(s.tokens.size());
    return n;
  }
};

}  // namespace fathom

// Drafts by prompt lookup (Saxena 2023; the same idea as Yang et al. 2023, "Inference with
// Reference"): where the sequence's last tokens stood before, what followed them then will follow
// now. Costs next to nothing, and pays where an answer repeats its prompt or itself: code with a
// change, summaries, quotations.
#pragma once

#include "engine/speculation/drafter.h"

namespace fathom {

class PromptLookup final : public Drafter {
 public:
  // Takes the longest match, at least kShortest tokens, and of equal ones the latest. A short
  // match says less: at most kTrust times its length is drafted from it.
  static constexpr int64_t kShortest = 2;
  static constexpr int64_t kLongest = 16;
  static constexpr int64_t kTrust = 2;

  Status propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) override;
};

}  // namespace fathom

#include "engine/speculation/prompt_lookup.h"

#include <algorithm>

namespace fathom {

Status PromptLookup::propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) {
  const auto length = static_cast<int64_t>(tokens.size());
  const int32_t* end = tokens.data() + length;
  int64_t best = kShortest - 1;
  int64_t follows = 0;  // where the continuation of the best match begins
  for (int64_t at = length - 1; at >= kShortest && best < kLongest; --at) {
    // How many tokens before `at` equal the sequence's last ones.
    const int32_t* here = tokens.data() + at;
    const int64_t most = std::min(at, kLongest);
    int64_t match = 0;
    while (match < most && here[-1 - match] == end[-1 - match]) ++match;
    if (match <= best) continue;
    best = match;
    follows = at;
  }
  if (follows == 0) return {};
  const int64_t count = std::min({limit, kTrust * best, length - follows});
  draft.tokens.assign(tokens.begin() + follows, tokens.begin() + follows + count);
  return {};
}

}  // namespace fathom

// Checks a draft against the model's own logits so that the answer is distributed exactly as
// without a draft (Leviathan et al. 2023, algorithm 1; Chen et al. 2023, algorithm 2).
//
// The distribution checked against is the sampler's own, with all its penalties and cuts, computed
// place by place since each accepted token changes the penalties of the next. A token drawn from q
// is accepted with probability min(1, p / q); after a rejection the token comes from what p has
// more than q. For a token drafted without chance that rule says: accept with probability p, else
// draw from the others. Drawing from p as always, and accepting if that gave the drafted token, is
// the same and takes the same random numbers as without a draft; so such drafts leave even the
// text of a seed as it is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "engine/speculation/drafter.h"

namespace fathom {

// logits [draft.size() + 1, vocab], of the last token before the draft and of every drafted one.
// Appends to `tokens` the accepted beginning of the draft and one token of the model's own. All of
// them count as said. Returns how many were accepted.
int64_t verify(std::span<const float> logits, const Draft& draft, Sampler& sampler,
               std::vector<int32_t>& tokens);

}  // namespace fathom

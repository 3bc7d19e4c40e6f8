// Which of several answers to a prompt are the best, as OpenAI's best_of has it: those with the
// highest log-probability per token.
#pragma once

#include <cstddef>
#include <vector>

#include "serve/answer_writer.h"

namespace fathom::serve {

// `choices` are `answers` to each prompt in turn, with the scores of their tokens. Returns the best
// `keep` to each prompt, the best first; of equals, the earlier. An answer without tokens is the
// last of all.
std::vector<Choice> best_choices(std::vector<Choice> choices, size_t answers, size_t keep);

}  // namespace fathom::serve

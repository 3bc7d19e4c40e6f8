// How a text longer than a context is scored: windows of `context` tokens, each `stride` further
// on than the last. A window scores the tokens that no window before it has scored, but never its
// own first one, which nothing precedes. This is the strided perplexity of transformers' guide
// ("Perplexity of fixed-length models"); with stride = context the windows are disjoint.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace fathom {

struct Windowing {
  int64_t context = 512;
  int64_t stride = 0;  // 0: the context, so that windows do not overlap
};

struct Window {
  int64_t begin = 0;  // tokens begin .. end are the model's input
  int64_t end = 0;
  int64_t scored = 0;  // tokens scored .. end count, each predicted from those before it
};

// The windows of a text of `tokens` tokens, without those that would score nothing.
// Fails (kUsage) where context or stride make no sense.
Result<std::vector<Window>> cut_windows(int64_t tokens, const Windowing& windowing);

}  // namespace fathom

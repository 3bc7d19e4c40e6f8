// Perplexity: exp of the mean negative log-likelihood that a model gives the tokens of a text, each
// predicted from the tokens before it in its window (windows.h). Equal to what transformers' guide
// computes on the same ids, window by window, weighting every scored token alike.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "evaluate/windows.h"
#include "fathom/fathom.h"

namespace fathom {

struct Perplexity {
  double perplexity = 0;
  double nll = 0;             // mean, in nats a token
  double standard_error = 0;  // of nll, tokens taken as independent
  int64_t tokens = 0;         // scored
  int64_t windows = 0;
};

// Called after every window with the number of tokens read; false ends the work with an error that
// says so. May be empty.
using OnRead = std::function<bool(int64_t tokens)>;

// Called with the logits that predict each scored token, in their order; a failure ends the work.
using OnLogits = std::function<Status(std::span<const float>)>;

Result<Perplexity> measure_perplexity(const Model& model, const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read = {},
                                      const OnLogits& on_logits = {});

}  // namespace fathom

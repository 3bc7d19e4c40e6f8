// How far a model's distribution is from a reference model's, token by token over a text: the
// Kullback-Leibler divergence KL(reference || model) in nats, and how often both would choose the
// same token. The measure of what quantisation or a faster kernel changes; 0 means nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "evaluate/perplexity.h"
#include "evaluate/saved_logits.h"
#include "evaluate/windows.h"
#include "fathom/fathom.h"

namespace fathom {

struct Divergence {
  double mean = 0;
  double standard_error = 0;
  double median = 0;
  double p90 = 0;
  double p99 = 0;
  double largest = 0;
  double top1_agreement = 0;  // share of tokens whose most likely token is the same
  double nll = 0;             // of the text under the model, nats a token
  double reference_nll = 0;
  int64_t tokens = 0;
};

// Both models must have the same vocabulary size. Both are computed window by window, so only one
// window's logits of the reference are kept.
Result<Divergence> measure_divergence(const Model& model, const Model& reference,
                                      const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read = {});

// The reference's logits from a file, whose text and windows are taken.
Result<Divergence> measure_divergence(const Model& model, const SavedLogits& reference,
                                      const OnRead& on_read = {});

}  // namespace fathom

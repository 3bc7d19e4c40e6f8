// How likely a model finds continuations of contexts: many at once, through a ServingEngine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fathom/fathom.h"

namespace fathom {

struct Continuation {
  std::string context;
  std::string text;  // what follows it
};

// The sum of the log-probabilities (natural) of each continuation's tokens after its context. As in
// lm-evaluation-harness, the two are tokenised as one text and the tokens of the context alone are
// left off; where both do not fit into the model's context, the beginning of the context is.
//
// on_done: called after each, from one thread at a time, with how many are done; false ends the
// work with an error that says so. May be empty.
Result<std::vector<double>> loglikelihoods(const Model& model,
                                           const std::vector<Continuation>& continuations,
                                           const std::function<bool(size_t done)>& on_done = {});

}  // namespace fathom

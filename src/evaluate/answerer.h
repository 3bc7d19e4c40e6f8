// Whoever is evaluated: a model here, or a server somewhere. Questions come in any number at once;
// how many are under way together is the answerer's business.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "evaluate/likelihood.h"
#include "fathom/fathom.h"

namespace fathom {

struct OpenQuestion {
  std::string prompt;
  bool chat = true;  // as a user's message; false: a bare text to go on with
  int64_t max_tokens = 64;
  std::vector<std::string> stop = {};
};

class Answerer {
 public:
  // How many are done; false ends the work with an error that says so. May be empty.
  using OnDone = std::function<bool(size_t done)>;

  virtual ~Answerer() = default;
  // As fathom::loglikelihoods().
  virtual Result<std::vector<double>> loglikelihoods(const std::vector<Continuation>& continuations,
                                                     const OnDone& on_done) = 0;
  // The most likely answers (temperature 0), without what a reasoning model thought before.
  virtual Result<std::vector<std::string>> generate(const std::vector<OpenQuestion>& questions,
                                                    const OnDone& on_done) = 0;
};

// Keeps a copy of the handle.
std::unique_ptr<Answerer> make_answerer(const Model& model);

}  // namespace fathom

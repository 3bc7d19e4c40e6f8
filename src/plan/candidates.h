// The ways to run a model on a kind of hardware that are worth estimating. Any thread.
#pragma once

#include <vector>

#include "plan/ranking.h"

namespace fathom::plan {

// Of one copy (replicas = 1): tensor, pipeline and expert parallelism, and shares of experts in
// host memory where the device's own is too small. Where this program runs itself, a copy is one
// process on one machine.
std::vector<Deployment> copies_of(const Question& question, const ModelFacts& model,
                                  const Hardware& hardware);

// Copies that there may be of a deployment: of the machine that this runs on there is one.
int most_replicas(const Question& question, const Deployment& copy);

}  // namespace fathom::plan

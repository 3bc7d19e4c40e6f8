// Whether a prediction is what was wished for, and what stands in the way by how much. Any thread.
#pragma once

#include <optional>
#include <string>

#include "plan/ranking.h"

namespace fathom::plan {

struct Miss {
  std::string constraint;  // as in RuledOut
  std::string reason;
  double excess = 0;
};

// Of a model on this hardware however it is divided: modality, place, context, quality, family.
std::optional<Miss> never_fits(const Question& question, const ModelFacts& model,
                               const Hardware& hardware, const std::optional<Quality>& quality);
// No room for the weights and one sequence as long as the context.
std::optional<Miss> misses_memory(const Deployment& deployment);
// The load, the latencies, the budget: the one that is missed by most.
std::optional<Miss> misses_wishes(const Question& question, const Deployment& deployment,
                                  const Prediction& prediction, const Demand& demand);

// At a percentile between 1 and 99: by interpolation between those that are known.
double at_percentile(const Percentiles& percentiles, double percentile);

}  // namespace fathom::plan

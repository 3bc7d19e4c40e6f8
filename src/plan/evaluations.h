// What `fathom eval task` measured, as the planner's qualities. Reads the results' database; any
// thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/quality.h"

namespace fathom::plan {

// The scores of all tasks that were asked to their end; texts (perplexity, divergence) have none.
// Nothing where there is no such file: it is not made.
Result<std::vector<MeasuredQuality>> read_evaluations(const std::filesystem::path& file);

}  // namespace fathom::plan

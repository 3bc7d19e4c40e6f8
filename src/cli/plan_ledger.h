// The requests of a server's own ledger, as a trace to plan for.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "plan/workload.h"

namespace fathom::cli {

// All that were answered, in the order in which they came; embeddings and what Lite had to drop are
// left out. Fails where there is no ledger, or fewer than two requests in it.
Result<std::vector<plan::PastRequest>> read_past_requests(const std::filesystem::path& path);

}  // namespace fathom::cli

// POST /v1/plan: deployments ranked for a load, by the closed formula, with what the plots of the
// web page show. Of the machine that serves it tells one thing, the scores that fathom eval
// measured of models of the catalogue: models and hardware are those of the catalogues. Takes
// milliseconds to tenths of a second of one thread, no model, and no memory that stays. Any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "serve/api_error.h"

namespace fathom::serve {

// The answer to a request's body, with the scores in `evaluations` (evaluations.h); an empty path:
// with published ones alone. Unknown fields, names and numbers out of range are errors that
// name them.
ApiResult<std::string> answer_plan(std::string_view body,
                                   const std::filesystem::path& evaluations = {});

}  // namespace fathom::serve

// fathom plan --catalogue: the models and the hardware that plans know without being told, with
// where their figures come from. Pure; any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace fathom::cli {

// Fails only where the built-in catalogue is wrong.
Result<std::string> catalogue_text();
Result<std::string> catalogue_json();

}  // namespace fathom::cli

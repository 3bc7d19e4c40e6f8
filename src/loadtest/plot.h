// A run as a picture: output tokens a second and time to the first token over the run, and how
// times to the first token and between tokens are spread.
#pragma once

#include <string>
#include <string_view>

#include "loadtest/run.h"

namespace fathom::loadtest {

// SVG. `seconds`: the part of the run that Summary counts.
std::string draw_run(std::string_view title, const RunLog& log, double seconds);

}  // namespace fathom::loadtest

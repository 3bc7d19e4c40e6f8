// A ranking as one HTML file for people: tables, plots (cost over volume, latency over load, memory
// by part, roofline) and the commands. It refers to nothing outside itself and has no scripts. Any
// thread.
#pragma once

#include <string>

#include "plan/ranking.h"

namespace fathom::plan {

std::string html_report(const Question& question, const Ranking& ranking);

}  // namespace fathom::plan

// fathom plan, as cli/command.h has the other commands.
#pragma once

#include "cli/command.h"

namespace fathom::cli {

void add_plan(CLI::App& app, Chosen& chosen);

}  // namespace fathom::cli

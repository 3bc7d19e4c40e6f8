// fathom eval task and fathom eval compare.
#pragma once

#include "cli/command.h"

namespace fathom::cli {

void add_eval_task(CLI::App& eval, Chosen& chosen);
void add_eval_compare(CLI::App& eval, Chosen& chosen);

}  // namespace fathom::cli

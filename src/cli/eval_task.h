// fathom eval task, fathom eval compare and fathom eval captions.
#pragma once

#include "cli/command.h"

namespace fathom::cli {

void add_eval_task(CLI::App& eval, Chosen& chosen);
void add_eval_compare(CLI::App& eval, Chosen& chosen);
void add_eval_captions(CLI::App& eval, Chosen& chosen);

}  // namespace fathom::cli

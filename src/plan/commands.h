// The commands that start a deployment where Fathom runs, to be typed as they stand. Any thread.
#pragma once

#include <string>
#include <vector>

#include "plan/deployment.h"
#include "plan/prediction.h"

namespace fathom::plan {

// What makes the model ready: nothing for a checkpoint on disk; fetching what the catalogue knows
// from a hub, and making the precision of it that is not published.
std::vector<std::string> prepare_commands(const ModelFacts& model);

// fathom serve, of one copy; empty where Fathom does not run on that hardware or cannot run the
// model, and for a configuration without weights.
std::string serve_command(const Deployment& deployment, const Prediction& prediction);
// Why there is none: "Fathom does not run on this hardware".
std::string no_command_reason(const Deployment& deployment);

}  // namespace fathom::plan

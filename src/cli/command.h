// A command adds its flags to the command line; parsing only notes what to do (Chosen), and main()
// does it. An action returns the exit code: 0 done; errors become 1 (failed) or 2 (wrong usage).
#pragma once

#include <functional>

#include "base/result.h"

namespace CLI {
class App;
}

namespace fathom::cli {

using Action = std::function<Result<int>()>;

struct Chosen {
  Action action;
};

void add_run(CLI::App& app, Chosen& chosen);
void add_chat(CLI::App& app, Chosen& chosen);
void add_inspect(CLI::App& app, Chosen& chosen);
void add_tokenize(CLI::App& app, Chosen& chosen);
void add_logits(CLI::App& app, Chosen& chosen);
void add_bench(CLI::App& app, Chosen& chosen);
void add_eval(CLI::App& app, Chosen& chosen);
void add_quantize(CLI::App& app, Chosen& chosen);
void add_lora(CLI::App& app, Chosen& chosen);
void add_calibrate(CLI::App& app, Chosen& chosen);
void add_pull(CLI::App& app, Chosen& chosen);
void add_serve(CLI::App& app, Chosen& chosen);
void add_keys(CLI::App& app, Chosen& chosen);
void add_usage(CLI::App& app, Chosen& chosen);
void add_route(CLI::App& app, Chosen& chosen);
void add_loadtest(CLI::App& app, Chosen& chosen);

}  // namespace fathom::cli

// fathom inspect: what is in a checkpoint, and what it takes to run it. Reads headers only.
#include <CLI/CLI.hpp>
#include <memory>

#include "cli/checkpoint_report.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/terminal.h"
#include "engine/engine.h"

namespace fathom::cli {
namespace {

struct InspectOptions {
  ModelOptions model;
  std::string positional_model;
  bool json = false;
  bool tensors = false;
};

Result<int> inspect(InspectOptions options) {
  FATHOM_CHECK(validate(options.model));
  FATHOM_CHECK(take_positional_model(options.model, options.positional_model));
  FATHOM_TRY(const auto path, find_model(options.model));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  FATHOM_TRY(const CacheFormat format, cache_format(options.model));
  const CacheType type = cache_type(format).value_or(CacheType::kF16);
  const CheckpointReport report(*checkpoint, options.model.context, type);
  print(options.json ? report.json_text(options.tensors) : report.text(options.tensors));
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("inspect", "show what is in a checkpoint");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("MODEL", options->positional_model,
                      "a GGUF file, a checkpoint directory or a pulled model; the default model "
                      "if left out");
  add_model_option(*command, options->model);
  command
      ->add_option("--context", options->model.context,
                   "say the memory for this many tokens; 0: the model's own limit")
      ->type_name("N");
  add_kv_cache_option(*command, options->model);
  command->add_flag("--tensors", options->tensors, "list every tensor");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Examples:\n"
      "  fathom inspect model.gguf --context 4096\n"
      "  fathom inspect checkpoint-directory --tensors\n"
      "  fathom inspect default --json");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return inspect(*options); }; });
}

}  // namespace fathom::cli

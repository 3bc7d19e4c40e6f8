// fathom pull: weights from a hub into the cache.
#include "hub/pull.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

constexpr int kMostParallel = 64;

Result<int> pull(const hub::PullOptions& options) {
  if (options.download.parallel < 1 || options.download.parallel > kMostParallel) {
    return usage_error("--parallel is {}; it must be 1 to {}.", options.download.parallel,
                       kMostParallel);
  }
  FATHOM_TRY(const auto cache, hub::ModelCache::of_user());
  FATHOM_TRY(const auto pulled, hub::pull(cache, options));
  if (pulled.already_there) {
    note(fmt::format("{} is there already.\n", pulled.name));
  } else {
    note(fmt::format("{}: {} in {} {}. Run it: fathom run -m {} \"Hello\"\n", pulled.name,
                     format_bytes(pulled.bytes), pulled.files, pulled.files == 1 ? "file" : "files",
                     pulled.name));
  }
  print(pulled.path.string() + "\n");
  return 0;
}

}  // namespace

void add_pull(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("pull", "fetch a model from a hub into the cache");
  auto options = std::make_shared<hub::PullOptions>();
  command
      ->add_option("MODEL", options->repository,
                   "OWNER/NAME on the hub, or default for the default model")
      ->required();
  command
      ->add_option("--file", options->file,
                   "only this file of the repository, or the one whose name has this in it")
      ->type_name("FILE");
  command->add_option("--revision", options->revision, "branch, tag or commit")->type_name("REV");
  command
      ->add_option("--endpoint", options->endpoint,
                   "the hub; else HF_ENDPOINT, else huggingface.co")
      ->type_name("URL");
  command->add_option("--parallel", options->download.parallel, "requests at a time")
      ->type_name("N");
  command->footer(
      "Examples:\n"
      "  fathom pull default\n"
      "  fathom pull OWNER/NAME --file Q4_K_M\n"
      "  HF_TOKEN=... fathom pull OWNER/NAME --revision v1.0\n"
      "Prints where the model lies. A pull that broke off goes on where it stopped.");
  command->callback([&chosen, options] { chosen.action = [options] { return pull(*options); }; });
}

}  // namespace fathom::cli

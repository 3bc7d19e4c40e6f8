// fathom serve: an OpenAI-compatible server in front of one model or several.
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/serve_options.h"
#include "cli/terminal.h"
#include "serve/api_keys.h"
#include "serve/server.h"

namespace fathom::cli {
namespace {

// SIGTERM and SIGINT, taken by whoever waits for them. Made before any thread, which inherit that
// they are blocked.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~StopSignals() { release(); }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  void wait() const {
    int number = 0;
    sigwait(&signals_, &number);
  }
  // From now on they end the process again: for the impatient.
  void release() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

Status warn_without_keys(const serve::ServeOptions& options) {
  if (!options.require_keys) return {};
  FATHOM_TRY(const auto keys, serve::ApiKeys::open(options.database));
  FATHOM_TRY(const auto list, keys->list());
  for (const serve::ApiKey& key : list) {
    if (key.revoked == 0) return {};
  }
  note("fathom: There is no API key yet, so nobody can ask. Make one: fathom keys create NAME\n");
  return {};
}

Result<int> run_server(const ServeFlags& flags) {
  FATHOM_TRY(serve::ServeOptions options, serve_options(flags));
  FATHOM_CHECK(warn_without_keys(options));
  FATHOM_TRY(const auto choices, model_choices(flags));
  if (options.route && !options.route->confidence) {
    note(
        "fathom: The route is not calibrated: it takes Lite's answer where its tokens are likely "
        "on "
        "average, whatever that means for your questions. See fathom route calibrate.\n");
  }
  StopSignals signals;
  std::vector<serve::NamedModel> models;
  std::string names;
  for (const ModelChoice& choice : choices) {
    FATHOM_TRY(Model model, load_model(choice.model));
    models.push_back({.name = choice.name, .model = std::move(model), .adapters = choice.adapters});
    names += (names.empty() ? "" : ", ") + choice.name;
  }
  FATHOM_TRY(options.engine.speculation, speculation(flags, models));
  FATHOM_TRY(const auto server, serve::Server::start(models, options));
  note(fmt::format("fathom: {} {} served at {}://{}:{}\n", names, models.size() == 1 ? "is" : "are",
                   options.http.tls_certificate.empty() ? "http" : "https", options.http.host,
                   server->port()));
  signals.wait();
  signals.release();
  if (!server->stop(std::chrono::seconds(flags.stop_seconds))) {
    note("fathom: Some answers had not ended in time and were cut off.\n");
  }
  return 0;
}

}  // namespace

void add_serve(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("serve", "an OpenAI-compatible HTTP server");
  auto flags = std::make_shared<ServeFlags>();
  add_serve_options(*command, *flags);
  command->footer(
      "Examples:\n"
      "  fathom serve -m model.gguf\n"
      "  fathom serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem\n"
      "API keys are required where others than this machine can reach the server.");
  command->callback([&chosen, flags] { chosen.action = [flags] { return run_server(*flags); }; });
}

}  // namespace fathom::cli

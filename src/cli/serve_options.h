// The flags of fathom serve.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/model_options.h"
#include "serve/server.h"

namespace CLI {
class App;
}

namespace fathom::cli {

struct ServeFlags {
  ModelOptions model;                 // but for which model
  std::vector<std::string> models;    // MODEL or NAME=MODEL
  std::vector<std::string> adapters;  // [MODEL:]NAME=DIR
  std::string route;                  // "auto" or a file; empty: none
  std::string name;                   // of the only model, for clients; empty: from its file
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  std::string tls_certificate;
  std::string tls_key;
  bool no_auth = false;
  bool auth = false;
  std::string database;
  std::string results;  // of fathom eval, for the planner; empty: the default file
  bool no_ledger = false;
  int64_t usage_days = 90;
  serve::KeyLimits key_limits;
  std::string speculate =
      "off";  // or "lookup", "mtp", or a draft model: a name of models, or as -m
  std::optional<int64_t> draft_tokens;
  std::string prices;       // a file
  std::string tool_format;  // empty: as the chat template tells
  std::vector<std::string> cors_origins;
  std::string adapter_folder;  // empty: no adapters while it serves
  std::string log = "text";
  bool log_prompts = false;
  bool no_web = false;
  std::string kv_memory = "1G";
  int64_t max_running = 256;
  int64_t max_waiting = 1024;
  std::string max_body = "8M";
  int64_t stop_seconds = 30;
};

// A model to serve, and under which name.
struct ModelChoice {
  std::string name;
  ModelOptions model;
  std::vector<serve::NamedAdapter> adapters = {};
};

void add_serve_options(CLI::App& command, ServeFlags& flags);
// -m, several times, with names.
void add_named_models_option(CLI::App& command, ServeFlags& flags);

// Which models, by the flags -m and --name. Each is found, none is loaded yet.
Result<std::vector<ModelChoice>> model_choices(const ServeFlags& flags);

// What --speculate asks for. `served`: the models that --speculate may mean by name; any other is
// loaded.
Result<Speculation> speculation(const ServeFlags& flags,
                                const std::vector<serve::NamedModel>& served);

// Checks the flags (kUsage) and says what they ask of the server, but for the models.
Result<serve::ServeOptions> serve_options(const ServeFlags& flags);

// --max-concurrent, --requests-per-minute, --tokens-per-minute; `whose` ends their descriptions.
void add_key_limit_options(CLI::App& command, serve::KeyLimits& limits, std::string_view whose);
Status check_key_limits(const serve::KeyLimits& limits);

// 64M, 1.5G (powers of 1024), 64MB, 1.5GB (of 1000) or a number of bytes.
Result<int64_t> parse_bytes(const std::string& text, std::string_view flag);

// --database, or the user's own.
Result<std::filesystem::path> database_path(const std::string& chosen);
// The same for commands that read: a file that was named and is not there is an error.
Result<std::filesystem::path> existing_database_path(const std::string& chosen);

}  // namespace fathom::cli

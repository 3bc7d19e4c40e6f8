// The server: HTTP in front, an engine behind, and between them routes, keys, limits, the ledger,
// metrics and the log. start() returns once it listens; stop() and the destructor end it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/serving_engine.h"
#include "route/policy.h"
#include "serve/event_log.h"
#include "serve/http_server.h"
#include "serve/key_limits.h"
#include "serve/prices.h"
#include "text/tool_format.h"

namespace fathom::serve {

struct ServeOptions {
  HttpOptions http;
  // Of each model. One of them may be the draft model of the others.
  ServingOptions engine;
  std::filesystem::path database;          // of keys and the ledger
  std::filesystem::path evaluations = {};  // results of fathom eval, for the planner; empty: none
  bool require_keys = false;
  bool keep_ledger = true;
  int64_t usage_days = 90;                     // how long the ledger keeps a request; 0: for ever
  KeyLimits key_limits;                        // for what a key has no limit of its own
  Prices prices;                               // for the ledger
  std::optional<route::Policy> route = {};     // for requests to the model "auto"
  std::vector<std::string> cors_origins = {};  // "*": any; empty: CORS is off
  LogFormat log = LogFormat::kText;
  bool log_prompts = false;  // also what is asked: the beginnings of requests' bodies
  bool web_page = true;      // at /
  // In which the model calls tools; none: as its chat template tells.
  std::optional<ToolFormat> tool_format = {};
  // Requests that may wait for formats, tools or adapters to be prepared, which may take seconds;
  // further ones are asked to come back.
  size_t most_slow_tasks = 64;
  // Where adapters lie that clients may load while the server runs; empty: they may not.
  std::filesystem::path adapter_folder = {};
};

// A LoRA adapter: a directory as PEFT writes it, and the name after the model's and a colon.
struct NamedAdapter {
  std::string name;
  std::string path;
};

// A model and the name by which clients ask for it.
struct NamedModel {
  std::string name;
  Model model;
  std::vector<NamedAdapter> adapters = {};
};

class Server {
 public:
  // At least one model, each under a name of its own; the first answers who names none.
  static Result<std::unique_ptr<Server>> start(const std::vector<NamedModel>& models,
                                               const ServeOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  // Takes no more requests and lets those that run end; after `limit`, cancels the rest. True if
  // there was no rest.
  bool stop(std::chrono::milliseconds limit);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::serve

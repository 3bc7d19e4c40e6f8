// fathom keys: makes, lists and revokes the API keys of fathom serve.
#include <CLI/CLI.hpp>
#include <ctime>
#include <memory>

#include "cli/command.h"
#include "cli/serve_options.h"
#include "cli/terminal.h"
#include "serve/api_keys.h"

namespace fathom::cli {
namespace {

struct KeysOptions {
  std::string database;
  std::string name;
  int64_t max_concurrent = 0;
};

Result<std::unique_ptr<serve::ApiKeys>> open_keys(const KeysOptions& options) {
  FATHOM_TRY(const auto path, database_path(options.database));
  return serve::ApiKeys::open(path);
}

std::string date(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

Result<int> create(const KeysOptions& options) {
  if (options.max_concurrent < 0) {
    return usage_error("--max-concurrent is {}; it must be 0 or more.", options.max_concurrent);
  }
  FATHOM_TRY(const auto keys, open_keys(options));
  FATHOM_TRY(const std::string key, keys->create(options.name, options.max_concurrent));
  print(key + "\n");
  note("fathom: Keep it: only a hash of it is stored.\n");
  return 0;
}

Result<int> revoke(const KeysOptions& options) {
  FATHOM_TRY(const auto keys, open_keys(options));
  FATHOM_CHECK(keys->revoke(options.name));
  return 0;
}

Result<int> list(const KeysOptions& options) {
  FATHOM_TRY(const auto keys, open_keys(options));
  FATHOM_TRY(const auto all, keys->list());
  for (const serve::ApiKey& key : all) {
    print(fmt::format(
        "{:<24} {}... made {} {}{}\n", key.name, key.beginning, date(key.created),
        key.revoked == 0 ? "valid" : "revoked " + date(key.revoked),
        key.max_concurrent == 0 ? "" : fmt::format(", {} requests at a time", key.max_concurrent)));
  }
  return 0;
}

}  // namespace

void add_keys(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("keys", "API keys of fathom serve");
  command->require_subcommand(1, 1);
  auto options = std::make_shared<KeysOptions>();
  const auto add = [&](const char* name, const char* what,
                       Result<int> (*action)(const KeysOptions&), bool needs_name) {
    auto* sub = command->add_subcommand(name, what);
    if (needs_name) sub->add_option("NAME", options->name, "whose key it is")->required();
    sub->add_option("--database", options->database, "where keys and the ledger lie")
        ->type_name("FILE");
    sub->callback([&chosen, options, action] {
      chosen.action = [options, action] { return action(*options); };
    });
    return sub;
  };
  add("create", "make a key and print it", create, true)
      ->add_option("--max-concurrent", options->max_concurrent,
                   "requests it may have open; 0: the server's own limit")
      ->type_name("N");
  add("list", "all keys, with the beginnings of their text", list, false);
  add("revoke", "make a key invalid, at once and for good", revoke, true);
}

}  // namespace fathom::cli

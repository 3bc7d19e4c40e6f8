// fathom keys: makes, lists and revokes the API keys of fathom serve.
#include <CLI/CLI.hpp>
#include <array>
#include <ctime>
#include <memory>
#include <utility>

#include "base/quote.h"
#include "cli/command.h"
#include "cli/serve_options.h"
#include "cli/terminal.h"
#include "serve/api_keys.h"

namespace fathom::cli {
namespace {

struct KeysOptions {
  std::string database;
  std::string name;
  serve::KeyLimits limits;
  std::string priority = "normal";
};

constexpr std::array<std::pair<const char*, Priority>, 3> kPriorities = {
    {{"high", Priority::kHigh}, {"normal", Priority::kNormal}, {"low", Priority::kLow}}};

Result<Priority> priority_of(const std::string& text) {
  for (const auto& [name, priority] : kPriorities) {
    if (text == name) return priority;
  }
  return usage_error("--priority is {}; it must be high, normal or low.", in_quotes(text));
}

Result<std::unique_ptr<serve::ApiKeys>> open_keys(const KeysOptions& options) {
  FATHOM_TRY(const auto path, existing_database_path(options.database));
  return serve::ApiKeys::open(path);
}

std::string date(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

Result<int> create(const KeysOptions& options) {
  FATHOM_CHECK(check_key_limits(options.limits));
  FATHOM_TRY(const Priority priority, priority_of(options.priority));
  FATHOM_TRY(const auto path, database_path(options.database));
  FATHOM_TRY(const auto keys, serve::ApiKeys::open(path));
  FATHOM_TRY(const std::string key, keys->create(options.name, options.limits, priority));
  print(key + "\n");
  note("fathom: Keep it: only a hash of it is stored.\n");
  return 0;
}

Result<int> limit(const KeysOptions& options) {
  FATHOM_CHECK(check_key_limits(options.limits));
  FATHOM_TRY(const Priority priority, priority_of(options.priority));
  FATHOM_TRY(const auto keys, open_keys(options));
  FATHOM_CHECK(keys->limit(options.name, options.limits, priority));
  return 0;
}

Result<int> revoke(const KeysOptions& options) {
  FATHOM_TRY(const auto keys, open_keys(options));
  FATHOM_CHECK(keys->revoke(options.name));
  return 0;
}

std::string in_words(const serve::ApiKey& key) {
  const serve::KeyLimits& limits = key.limits;
  std::string text;
  for (const auto& [name, priority] : kPriorities) {
    if (key.priority == priority && priority != Priority::kNormal) {
      text += fmt::format(", {} priority", name);
    }
  }
  const auto add = [&](int64_t limit, const char* what) {
    if (limit > 0) text += fmt::format(", {} {}", limit, what);
  };
  add(limits.max_concurrent, "requests at a time");
  add(limits.requests_per_minute, "requests a minute");
  add(limits.tokens_per_minute, "tokens a minute");
  return text;
}

Result<int> list(const KeysOptions& options) {
  FATHOM_TRY(const auto keys, open_keys(options));
  FATHOM_TRY(const auto all, keys->list());
  for (const serve::ApiKey& key : all) {
    print(fmt::format("{:<24} {}... made {} {}{}\n", key.name, key.beginning, date(key.created),
                      key.revoked == 0 ? "valid" : "revoked " + date(key.revoked), in_words(key)));
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
  constexpr const char* kWhose = "0: the server's own limit";
  const auto add_limits = [&](CLI::App* sub) {
    add_key_limit_options(*sub, options->limits, kWhose);
    sub->add_option("--priority", options->priority, "whose requests go first where they wait")
        ->type_name("high|normal|low");
  };
  add_limits(add("create", "make a key and print it", create, true));
  add_limits(add("limit", "set all limits of a key anew", limit, true));
  add("list", "all keys, with the beginnings of their text", list, false);
  add("revoke", "make a key invalid, at once and for good", revoke, true);
}

}  // namespace fathom::cli

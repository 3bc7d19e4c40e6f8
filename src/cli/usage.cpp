// fathom usage: sums up the ledger of fathom serve.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/serve_options.h"
#include "cli/terminal.h"
#include "serve/ledger.h"

namespace fathom::cli {
namespace {

struct UsageOptions {
  std::string database;
  serve::UsageQuery query;
  bool json = false;
};

Result<int> show_usage(const UsageOptions& options) {
  if (options.query.days < 1) {
    return usage_error("--days is {}; it must be 1 or more.", options.query.days);
  }
  FATHOM_TRY(const auto path, existing_database_path(options.database));
  FATHOM_TRY(const auto rows, serve::read_usage(path, options.query));
  if (options.json) {
    auto list = nlohmann::ordered_json::array();
    for (const serve::UsageRow& row : rows) {
      list.push_back({{"day", row.day},
                      {"key", row.key},
                      {"model", row.model},
                      {"requests", row.requests},
                      {"prompt_tokens", row.prompt_tokens},
                      {"cached_tokens", row.cached_tokens},
                      {"completion_tokens", row.completion_tokens},
                      {"failed", row.failed},
                      {"cancelled", row.cancelled},
                      {"first_token_seconds", row.first_token_seconds},
                      {"seconds", row.seconds},
                      {"cost_usd", row.cost_usd},
                      {"routed", row.routed},
                      {"kept_by_lite", row.kept},
                      {"saved_usd", row.saved_usd}});
    }
    print(list.dump(2) + "\n");
    return 0;
  }
  constexpr const char* kLine =
      "{:<11} {:<16} {:<24} {:>9} {:>12} {:>12} {:>12} {:>7} {:>9} {:>10}\n";
  print(fmt::format(fmt::runtime(kLine), "day", "key", "model", "requests", "prompt", "cached",
                    "answer", "failed", "cancelled", "US$"));
  int64_t routed = 0;
  int64_t kept = 0;
  double saved = 0;
  for (const serve::UsageRow& row : rows) {
    print(fmt::format(fmt::runtime(kLine), row.day, row.key.empty() ? "-" : row.key, row.model,
                      row.requests, row.prompt_tokens, row.cached_tokens, row.completion_tokens,
                      row.failed, row.cancelled,
                      row.cost_usd > 0 ? fmt::format("{:.4f}", row.cost_usd) : "-"));
    routed += row.routed;
    kept += row.kept;
    saved += row.saved_usd;
  }
  if (routed > 0) {
    print(fmt::format("Of {} requests to \"auto\", Lite's answer was enough for {} ({:.1f}%)",
                      routed, kept,
                      100.0 * static_cast<double>(kept) / static_cast<double>(routed)));
    print(saved == 0 ? std::string(".\n")
                     : fmt::format("; against V1 answering all, that saved US$ {:.4f}.\n", saved));
  }
  return 0;
}

}  // namespace

void add_usage(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("usage", "what fathom serve has answered, by day and key");
  auto options = std::make_shared<UsageOptions>();
  command->add_option("--days", options->query.days, "today and the days before it")
      ->type_name("N");
  command->add_option("--key", options->query.key, "only of the key with that name")
      ->type_name("NAME");
  command->add_option("--database", options->database, "where keys and the ledger lie")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "print JSON");
  command->footer(
      "Examples:\n"
      "  fathom usage --days 7\n"
      "  fathom usage --key alice --json");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return show_usage(*options); }; });
}

}  // namespace fathom::cli

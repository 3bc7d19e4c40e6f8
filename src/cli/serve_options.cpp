#include "cli/serve_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/quote.h"
#include "cli/input_file.h"
#include "engine/speculation/draft_policy.h"
#include "serve/database.h"
#include "storage/results.h"

namespace fathom::cli {
namespace {

constexpr int64_t kMostPorts = 65535;
constexpr int64_t kMostDays = 100'000;
constexpr int64_t kMostStopSeconds = 86'400;
constexpr int64_t kMostAnswers = 1'000'000;
constexpr int64_t kMostPerMinute = 1'000'000'000'000;

Status check_range(std::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return usage_error("{} is {}; it must be {} to {}.", flag, value, low, high);
}

Result<serve::LogFormat> log_format(const std::string& name) {
  if (name == "text") return serve::LogFormat::kText;
  if (name == "json") return serve::LogFormat::kJson;
  if (name == "none") return serve::LogFormat::kNone;
  return usage_error("--log is {}; it must be text, json or none.", in_quotes(name));
}

bool is_origin(const std::string& text) {
  if (text == "*") return true;
  const size_t scheme = text.find("://");
  return scheme != std::string::npos && scheme > 0 && scheme + 3 < text.size() &&
         text.find_first_of("/ ,", scheme + 3) == std::string::npos;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// NAME=MODEL, unless there is a file of that whole name, or what stands before the first '=' is a
// path.
ModelChoice split_choice(const std::string& text) {
  ModelChoice choice;
  const size_t at = text.find('=');
  std::error_code ignored;
  const bool named = at != std::string::npos && at > 0 && text.find('/') > at &&
                     !std::filesystem::exists(text, ignored);
  if (named) choice.name = text.substr(0, at);
  choice.model.model = named ? text.substr(at + 1) : text;
  return choice;
}

// --lora [MODEL:]NAME=DIR, to the model it names or the only one.
Status add_adapter(const std::string& text, std::vector<ModelChoice>& choices) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return usage_error("--lora {} should be NAME=DIR, or MODEL:NAME=DIR.", in_quotes(text));
  }
  const std::string whole = text.substr(0, equals);
  const size_t colon = whole.rfind(':');
  const bool named = colon != std::string::npos;
  const std::string model = named ? whole.substr(0, colon) : choices.front().name;
  const std::string name = named ? whole.substr(colon + 1) : whole;
  if (name.empty()) return usage_error("--lora {} gives the adapter no name.", in_quotes(text));
  if (!named && choices.size() > 1) {
    return usage_error("--lora {}: {} models are served. Say which: --lora MODEL:NAME=DIR.",
                       in_quotes(text), choices.size());
  }
  for (ModelChoice& choice : choices) {
    if (choice.name != model) continue;
    for (const serve::NamedAdapter& other : choice.adapters) {
      if (other.name != name) continue;
      return usage_error("Two adapters of {} have the name {}.", in_quotes(model), in_quotes(name));
    }
    choice.adapters.push_back({.name = name, .path = text.substr(equals + 1)});
    return {};
  }
  return usage_error("--lora {}: no model {} is served.", in_quotes(text), in_quotes(model));
}

}  // namespace

void add_named_models_option(CLI::App& command, ServeFlags& flags) {
  command
      .add_option("-m,--model", flags.models,
                  "a GGUF file, a Hugging Face checkpoint directory, or the name of a pulled "
                  "model; the default model if left out. NAME=MODEL serves it under that name; "
                  "may be given several times")
      ->type_name("[NAME=]MODEL")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_serve_options(CLI::App& command, ServeFlags& flags) {
  add_named_models_option(command, flags);
  command
      .add_option("--name", flags.name, "the only model's name for clients; its file's if left out")
      ->check([](const std::string& text) { return text.empty() ? "it is empty" : ""; })
      ->type_name("NAME");
  command
      .add_option("--route", flags.route,
                  "let requests to the model \"auto\" go to the model called lite, and to v1 where "
                  "lite is not sure; or by the rules and thresholds of a file that fathom route "
                  "calibrate wrote")
      ->type_name("auto|FILE");
  command.add_option("--host", flags.host, "the address to listen on")->type_name("ADDRESS");
  command.add_option("--port", flags.port, "the port; 0: any free one")->type_name("N");
  command.add_option("--tls-cert", flags.tls_certificate, "speak TLS with this certificate (PEM)")
      ->type_name("FILE");
  command.add_option("--tls-key", flags.tls_key, "the certificate's key (PEM)")->type_name("FILE");

  command.add_flag("--auth", flags.auth, "ask for API keys (fathom keys) on loopback too");
  command.add_flag("--no-auth", flags.no_auth, "ask for no API keys although others can reach us");
  add_key_limit_options(command, flags.key_limits, "of a key without a limit of its own; 0: none");
  command
      .add_option("--cors-origin", flags.cors_origins,
                  "let web pages of ORIGIN ask; * for any; may be given several times")
      ->type_name("ORIGIN")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);

  command.add_flag("--no-web", flags.no_web, "serve no web page at /");

  command.add_option("--database", flags.database, "where keys and the ledger lie")
      ->type_name("FILE");
  command
      .add_option("--results", flags.results,
                  "the results of fathom eval that the planner's page ranks by; "
                  "~/.local/share/fathom/evaluations.db if left out")
      ->type_name("FILE");
  command.add_flag("--no-ledger", flags.no_ledger, "keep no account of requests");
  command
      .add_option("--usage-days", flags.usage_days,
                  "how long the ledger keeps a request; 0: for ever")
      ->type_name("N");
  command
      .add_option("--prices", flags.prices,
                  "what tokens cost, for the ledger: a JSON file, {MODEL: {input, output}} in US "
                  "dollars per million tokens")
      ->type_name("FILE");
  command.add_option("--log", flags.log, "what standard error shows of each request")
      ->type_name("text|json|none");
  command.add_flag(
      "--log-prompts", flags.log_prompts,
      "show also what is asked, 16 KB of each request; prompts are in no log otherwise");

  command
      .add_option("--lora", flags.adapters,
                  "a LoRA adapter (PEFT's directory), which clients ask for as the model "
                  "MODEL:NAME; may be given several times")
      ->type_name("[MODEL:]NAME=DIR")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      .add_option("--lora-folder", flags.adapter_folder,
                  "let clients load adapters from this folder while it serves, and unload them "
                  "(/v1/load_lora_adapter)")
      ->type_name("DIR");
  add_template_option(command, flags.model);
  add_calibration_option(command, flags.model);
  command
      .add_option("--tool-format", flags.tool_format,
                  "how the model calls tools, where its chat template does not tell")
      ->type_name("hermes|deepseek|deepseek-v3.1|json");
  add_context_option(command, flags.model);
  add_kv_cache_option(command, flags.model);
  add_compute_options(command, flags.model);
  add_packed_cache_options(command, flags.model);
  command.add_option("--kv-memory", flags.kv_memory, "memory for keys and values (64M, 2G)")
      ->type_name("SIZE");
  command
      .add_option(
          "--speculate,--draft", flags.speculate,
          "guess tokens and check several in one step, while that is faster; answers stay "
          "the same. lookup: from what was said before; mtp: by DeepSeek-V3's own layer for "
          "it; or by a smaller model of the same vocabulary, one that is served too (NAME) "
          "or another")
      ->type_name("off|lookup|mtp|NAME|MODEL");
  command
      .add_option("--draft-tokens", flags.draft_tokens,
                  "guess at most N tokens of an answer at a time")
      ->type_name("N");
  command.add_option("--max-running", flags.max_running, "answers computed together")
      ->type_name("N");
  command.add_option("--max-waiting", flags.max_waiting, "answers that may wait for their turn")
      ->type_name("N");
  command.add_option("--max-body", flags.max_body, "the largest request")->type_name("SIZE");
  command
      .add_option("--stop-seconds", flags.stop_seconds,
                  "how long answers may go on after SIGTERM or Ctrl-C")
      ->type_name("N");
}

void add_key_limit_options(CLI::App& command, serve::KeyLimits& limits, std::string_view whose) {
  const auto add = [&](const char* flag, int64_t& limit, std::string_view what) {
    command.add_option(flag, limit, fmt::format("{} {}", what, whose))->type_name("N");
  };
  add("--max-concurrent", limits.max_concurrent, "requests open at a time,");
  add("--requests-per-minute", limits.requests_per_minute, "requests in a minute,");
  add("--tokens-per-minute", limits.tokens_per_minute,
      "tokens of prompts and answers in a minute,");
}

Status check_key_limits(const serve::KeyLimits& limits) {
  FATHOM_CHECK(check_range("--max-concurrent", limits.max_concurrent, 0, kMostAnswers));
  FATHOM_CHECK(check_range("--requests-per-minute", limits.requests_per_minute, 0, kMostPerMinute));
  return check_range("--tokens-per-minute", limits.tokens_per_minute, 0, kMostPerMinute);
}

Result<int64_t> parse_bytes(const std::string& text, std::string_view flag) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string unit(rest, end);
  double factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "K" || unit == "k") factor = 0x1p10;
  if (unit == "M" || unit == "m") factor = 0x1p20;
  if (unit == "G" || unit == "g") factor = 0x1p30;
  if (unit == "T" || unit == "t") factor = 0x1p40;
  if (unit == "MB") factor = 1e6;
  if (unit == "GB") factor = 1e9;
  const double bytes = number * factor;
  if (error != std::errc() || !(bytes >= 1) || bytes > 0x1p50) {
    return usage_error("{} is {}; it must be a size such as 512M or 2G.", flag, in_quotes(text));
  }
  return static_cast<int64_t>(bytes);
}

Result<std::filesystem::path> database_path(const std::string& chosen) {
  if (!chosen.empty()) return std::filesystem::path(chosen);
  return serve::default_database_path();
}

Result<std::filesystem::path> existing_database_path(const std::string& chosen) {
  std::error_code ignored;
  if (!chosen.empty() && !std::filesystem::exists(chosen, ignored)) {
    return fail("There is no database {}. fathom serve and fathom keys create write one.", chosen);
  }
  return database_path(chosen);
}

Result<std::vector<ModelChoice>> model_choices(const ServeFlags& flags) {
  const std::vector<std::string> texts =
      flags.models.empty() ? std::vector<std::string>{""} : flags.models;
  if (!flags.name.empty() && texts.size() > 1) {
    return usage_error("--name names one model, and {} are served. Write -m NAME=MODEL.",
                       texts.size());
  }
  std::vector<ModelChoice> choices;
  for (const std::string& text : texts) {
    const ModelChoice split = split_choice(text);
    ModelChoice choice{.name = split.name, .model = flags.model};
    choice.model.model = split.model.model;
    choice.model.mtp = flags.speculate == "mtp";
    if (!text.empty() && choice.model.model.empty()) {
      return usage_error("-m {} names no model after the '='.", text);
    }
    if (!flags.name.empty()) choice.name = flags.name;
    FATHOM_TRY(const auto path, find_model(choice.model));
    if (choice.name.empty()) choice.name = path.stem().string();
    for (const ModelChoice& other : choices) {
      if (other.name != choice.name) continue;
      return usage_error("Two models have the name {}. Tell them apart: -m NAME=MODEL.",
                         in_quotes(choice.name));
    }
    choices.push_back(std::move(choice));
  }
  for (const std::string& text : flags.adapters) FATHOM_CHECK(add_adapter(text, choices));
  return choices;
}

namespace {

// Of results that need not be there yet, unless they are named.
Result<std::filesystem::path> evaluations_path(const std::string& chosen) {
  std::error_code ignored;
  if (chosen.empty()) return EvaluationResults::default_path().value_or(std::filesystem::path());
  if (std::filesystem::is_regular_file(chosen, ignored)) return std::filesystem::path(chosen);
  return usage_error("There are no results {}. fathom eval writes them.", chosen);
}

Status check_speculation(const ServeFlags& flags) {
  if (flags.speculate.empty()) {
    return usage_error("--speculate is empty; it must be off, lookup, mtp, or a draft model.");
  }
  if (!flags.draft_tokens) return {};
  if (flags.speculate == "off") {
    return usage_error("--draft-tokens needs --speculate lookup, mtp, or a draft model.");
  }
  return check_range("--draft-tokens", *flags.draft_tokens, 1, DraftPolicy::kMostTokens);
}

}  // namespace

Result<Speculation> speculation(const ServeFlags& flags,
                                const std::vector<serve::NamedModel>& served) {
  Speculation speculation;
  speculation.draft_tokens = flags.draft_tokens.value_or(0);
  if (flags.speculate == "off") return speculation;
  if (flags.speculate == "lookup" || flags.speculate == "mtp") {
    speculation.method =
        flags.speculate == "mtp" ? Speculation::Method::kMtp : Speculation::Method::kLookup;
    return speculation;
  }
  speculation.method = Speculation::Method::kDraftModel;
  for (const serve::NamedModel& model : served) {
    if (model.name == flags.speculate) speculation.draft = model.model;
  }
  if (!speculation.draft) {
    ModelOptions draft = flags.model;
    draft.model = flags.speculate;
    draft.chat_template.clear();
    FATHOM_TRY(speculation.draft, load_model(draft));
  }
  return speculation;
}

Result<serve::ServeOptions> serve_options(const ServeFlags& flags) {
  FATHOM_CHECK(validate(flags.model));
  FATHOM_CHECK(check_range("--port", flags.port, 0, kMostPorts));
  FATHOM_CHECK(check_range("--usage-days", flags.usage_days, 0, kMostDays));
  FATHOM_CHECK(check_key_limits(flags.key_limits));
  FATHOM_CHECK(check_range("--max-running", flags.max_running, 1, kMostAnswers));
  FATHOM_CHECK(check_range("--max-waiting", flags.max_waiting, 1, kMostAnswers));
  FATHOM_CHECK(check_range("--stop-seconds", flags.stop_seconds, 0, kMostStopSeconds));
  FATHOM_CHECK(check_speculation(flags));
  if (flags.auth && flags.no_auth)
    return usage_error("--auth and --no-auth contradict each other.");
  if (flags.tls_certificate.empty() != flags.tls_key.empty()) {
    return usage_error("TLS needs both --tls-cert and --tls-key.");
  }

  serve::ServeOptions options;
  options.http.host = flags.host;
  options.http.port = static_cast<uint16_t>(flags.port);
  options.http.tls_certificate = flags.tls_certificate;
  options.http.tls_key = flags.tls_key;
  FATHOM_TRY(const int64_t body, parse_bytes(flags.max_body, "--max-body"));
  options.http.body_bytes = static_cast<size_t>(body);
  options.http.all_body_bytes = std::max(options.http.all_body_bytes, 4 * options.http.body_bytes);
  FATHOM_TRY(options.engine.kv_memory, parse_bytes(flags.kv_memory, "--kv-memory"));
  options.engine.context = flags.model.context;
  options.engine.max_running = flags.max_running;
  options.engine.max_waiting = flags.max_waiting;
  options.require_keys = flags.auth || (!flags.no_auth && !is_loopback(flags.host));
  options.usage_days = flags.usage_days;
  if (flags.key_limits.any() && !options.require_keys) {
    return usage_error(
        "--max-concurrent, --requests-per-minute and --tokens-per-minute limit API keys, and this "
        "server asks for none. Add --auth.");
  }
  options.key_limits = flags.key_limits;
  if (!flags.prices.empty()) {
    if (flags.no_ledger) return usage_error("--prices is for the ledger; leave out --no-ledger.");
    FATHOM_TRY(const std::string text, read_input_file(flags.prices));
    FATHOM_TRY(options.prices, serve::Prices::parse(text, flags.prices));
  }
  if (flags.route == "auto") {
    options.route = route::Policy{};
  } else if (!flags.route.empty()) {
    FATHOM_TRY(const std::string text, read_input_file(flags.route));
    FATHOM_TRY(options.route, route::parse_policy(text, flags.route));
  }
  if (!flags.tool_format.empty()) {
    FATHOM_TRY(options.tool_format, tool_format_named(flags.tool_format));
  }
  if (!flags.adapter_folder.empty()) {
    std::error_code error;
    if (!std::filesystem::is_directory(flags.adapter_folder, error)) {
      return usage_error("--lora-folder {} is no directory.", in_quotes(flags.adapter_folder));
    }
    options.adapter_folder = std::filesystem::absolute(flags.adapter_folder);
  }
  for (const std::string& origin : flags.cors_origins) {
    if (!is_origin(origin)) {
      return usage_error(
          "--cors-origin is {}; it must be * or an origin as browsers send it: "
          "https://example.org, without a path.",
          in_quotes(origin));
    }
  }
  options.cors_origins = flags.cors_origins;
  options.web_page = !flags.no_web;
  FATHOM_TRY(options.log, log_format(flags.log));
  options.log_prompts = flags.log_prompts;
  if (options.log_prompts && options.log == serve::LogFormat::kNone) {
    return usage_error("--log-prompts needs a log, and --log is none.");
  }
  if (!flags.no_ledger || options.require_keys) {
    FATHOM_TRY(options.database, database_path(flags.database));
  }
  options.keep_ledger = !flags.no_ledger;
  FATHOM_TRY(options.evaluations, evaluations_path(flags.results));
  return options;
}

}  // namespace fathom::cli

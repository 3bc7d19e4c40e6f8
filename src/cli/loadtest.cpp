// fathom loadtest: how an OpenAI-compatible server does under load.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "base/json.h"
#include "base/quote.h"
#include "cli/command.h"
#include "cli/flag_checks.h"
#include "cli/input_file.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "loadtest/plot.h"
#include "loadtest/run.h"
#include "loadtest/summary.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostSessions = 100'000;
constexpr int64_t kDefaultRequests = 100;

struct LoadtestFlags {
  std::string url;
  std::string model;
  std::string api_key;
  std::string endpoint = "chat";
  std::string prompt_words = "48";
  std::string output_tokens = "64";
  int64_t system_words = 0;
  std::string trace;
  std::string fields;
  // 0 where they were not given
  int64_t sessions = 0;
  double rate = 0;
  int64_t requests = 0;
  double duration = 0;
  double timeout = 600;
  std::optional<uint64_t> seed;
  bool no_usage = false;
  bool insecure = false;
  bool json = false;
  std::string plot;
};

Result<loadtest::ClientOptions> client_options(const LoadtestFlags& flags) {
  loadtest::ClientOptions options;
  FATHOM_TRY(options.target, loadtest::Target::parse(flags.url));
  options.api_key = flags.api_key;
  if (options.api_key.empty()) {
    if (const char* key = std::getenv("OPENAI_API_KEY"); key != nullptr) options.api_key = key;
  }
  if (options.api_key.find_first_of("\r\n") != std::string::npos) {
    return usage_error("The API key holds a line's end.");
  }
  options.model = flags.model;
  options.chat = flags.endpoint == "chat";
  options.usage = !flags.no_usage;
  options.verify = !flags.insecure;
  options.timeout = flags.timeout;
  if (!(flags.timeout > 0))
    return usage_error("--timeout is {}; it must be more than 0.", flags.timeout);
  if (!flags.fields.empty()) {
    auto fields = parse_json(flags.fields, "--fields");
    if (!fields) return usage_error("{}", fields.error().message);
    if (!fields->is_object()) {
      return usage_error("--fields is {}; it must be a JSON object such as {{\"temperature\": 0}}.",
                         in_quotes(flags.fields));
    }
    options.fields = *std::move(fields);
  }
  return options;
}

Result<loadtest::Workload> workload_of(const LoadtestFlags& flags, uint64_t seed) {
  loadtest::WorkloadOptions options;
  FATHOM_TRY(options.prompt_words, loadtest::Lengths::parse(flags.prompt_words, "--prompt-words"));
  FATHOM_TRY(options.output_tokens,
             loadtest::Lengths::parse(flags.output_tokens, "--output-tokens"));
  if (flags.system_words < 0 || flags.system_words > 1'000'000) {
    return usage_error("--system-words is {}; it must be 0 to 1000000.", flags.system_words);
  }
  options.system_words = flags.system_words;
  options.seed = seed;
  if (flags.trace.empty()) return loadtest::Workload(options);
  FATHOM_TRY(const std::string text, read_input_file(flags.trace));
  FATHOM_TRY(auto trace,
             loadtest::parse_trace(text, flags.trace == "-" ? "The trace" : flags.trace));
  return loadtest::Workload(options, std::move(trace));
}

// Every session has a connection of its own.
Status make_room_for(int64_t sessions) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const auto wanted = static_cast<rlim_t>(sessions) + 32;
  if (limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max) {
    return fail("{} sessions need as many open files, and the system allows {} (ulimit -n).",
                sessions, limit.rlim_max);
  }
  return {};
}

Result<loadtest::RunOptions> run_options(const LoadtestFlags& flags,
                                         const loadtest::Workload& workload) {
  loadtest::RunOptions options;
  FATHOM_TRY(options.client, client_options(flags));
  if (flags.sessions < 0 || flags.sessions > kMostSessions) {
    return usage_error("--sessions is {}; it must be 1 to {}.", flags.sessions, kMostSessions);
  }
  if (!(flags.rate >= 0) || flags.rate > 1e6) {
    return usage_error("--rate is {}; it must be more than 0 and at most 1000000.", flags.rate);
  }
  if (flags.requests < 0)
    return usage_error("--requests is {}; it must be 1 or more.", flags.requests);
  if (!(flags.duration >= 0)) {
    return usage_error("--duration is {}; it must be more than 0.", flags.duration);
  }
  if (flags.sessions > 0 && flags.rate > 0) {
    return usage_error(
        "--sessions (each asks when it has its answer) and --rate (requests come by chance) are "
        "two kinds of load: give one of them.");
  }
  const auto& trace = workload.trace();
  options.sessions = std::max<int64_t>(flags.sessions, 1);
  options.rate = flags.rate;
  options.requests = flags.requests;
  options.duration = flags.duration;
  if (flags.rate > 0) {
    options.arrivals = loadtest::Arrivals::kPoisson;
  } else if (flags.sessions == 0 && !trace.empty() && trace.front().at) {
    options.arrivals = loadtest::Arrivals::kTrace;
  }
  if (options.requests == 0 && options.duration == 0) {
    options.requests = trace.empty() ? kDefaultRequests : std::ssize(trace);
  }
  if (options.arrivals == loadtest::Arrivals::kSessions) {
    FATHOM_CHECK(make_room_for(options.sessions));
  } else {
    FATHOM_CHECK(make_room_for(0));
  }
  return options;
}

void show_progress(const loadtest::Progress& progress) {
  note(fmt::format("\r{:.0f} s: {} under way, {} answered, {} failed, {} tokens\x1b[K",
                   progress.seconds, progress.open, progress.answered, progress.failed,
                   progress.tokens));
}

std::string load_text(const loadtest::RunOptions& options) {
  switch (options.arrivals) {
    case loadtest::Arrivals::kSessions:
      return fmt::format("{} session{}", options.sessions, options.sessions == 1 ? "" : "s");
    case loadtest::Arrivals::kPoisson:
      return fmt::format("{:g} requests/s on average", options.rate);
    case loadtest::Arrivals::kTrace:
      break;
  }
  return "requests as the trace has them";
}

Result<int> run_loadtest(const LoadtestFlags& flags) {
  const uint64_t seed = flags.seed ? *flags.seed : std::random_device()();
  FATHOM_TRY(const loadtest::Workload workload, workload_of(flags, seed));
  FATHOM_TRY(loadtest::RunOptions options, run_options(flags, workload));
  const InterruptScope interrupts;
  options.interrupted = [&interrupts] { return interrupts.requested(); };
  const bool shows = is_terminal(Stream::kError);
  if (shows) options.on_second = show_progress;
  const std::string load = load_text(options);
  FATHOM_TRY(const loadtest::RunLog log, loadtest::run(std::move(options), workload));
  if (shows) note("\r\x1b[K");

  const loadtest::Summary summary = loadtest::summarise(log, flags.duration);
  if (flags.json) {
    Json document = {{"url", flags.url}, {"model", log.model}, {"load", load}, {"seed", seed}};
    document.update(loadtest::to_json(summary));
    print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(fmt::format("{}, {}; --seed {}\n{}", log.model.empty() ? flags.url : log.model, load,
                      seed, loadtest::to_text(summary)));
  }
  if (!flags.plot.empty()) {
    const std::string title =
        fmt::format("{}, {}", log.model.empty() ? flags.url : log.model, load);
    FATHOM_CHECK(write_output_file(flags.plot, loadtest::draw_run(title, log, summary.seconds)));
  }
  if (!log.gone.empty()) {
    return fail("The server went away ({}), and the run ended with that.", log.gone);
  }
  if (log.interrupted) return kInterruptedExitCode;
  if (summary.answered == 0) return fail("No request was answered.");
  return 0;
}

}  // namespace

void add_loadtest(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("loadtest", "how an OpenAI-compatible server does under load");
  auto flags = std::make_shared<LoadtestFlags>();
  command->add_option("url", flags->url, "the server, such as http://127.0.0.1:8080")
      ->required()
      ->type_name("URL");
  command
      ->add_option("--sessions", flags->sessions,
                   "so many that each ask, wait for the answer and ask again")
      ->type_name("N")
      ->check(not_zero);
  command->add_option("--rate", flags->rate, "so many requests a second on average, by chance")
      ->type_name("R")
      ->check(not_zero);
  command
      ->add_option("--requests", flags->requests,
                   "how many requests; 100 without --duration or --trace")
      ->type_name("N")
      ->check(not_zero);
  command->add_option("--duration", flags->duration, "no request begins after so many seconds")
      ->type_name("S")
      ->check(not_zero);
  command
      ->add_option("--prompt-words", flags->prompt_words,
                   "words of a prompt: 48, uniform:16-128, normal:48,16, lognormal:48,0.5")
      ->type_name("LENGTHS");
  command->add_option("--output-tokens", flags->output_tokens, "max_tokens of a request, likewise")
      ->type_name("LENGTHS");
  command
      ->add_option("--system-words", flags->system_words,
                   "begin all requests with the same system prompt of so many words")
      ->type_name("N");
  command
      ->add_option("--trace", flags->trace,
                   "ask what this file of JSON lines says; - for standard input")
      ->type_name("FILE");
  command->add_option("--endpoint", flags->endpoint, "chat or completions")
      ->check(CLI::IsMember({"chat", "completions"}));
  command
      ->add_option("--model", flags->model, "the model to ask for; the server's first if left out")
      ->type_name("NAME");
  command->add_option("--api-key", flags->api_key, "or the environment's OPENAI_API_KEY")
      ->type_name("KEY");
  command
      ->add_option("--fields", flags->fields,
                   "further fields of every request, such as '{\"ignore_eos\": true}'")
      ->type_name("JSON");
  command->add_flag("--no-usage", flags->no_usage,
                    "do not ask the server to count tokens: events are counted");
  command
      ->add_option("--timeout", flags->timeout, "seconds of silence after which a request failed")
      ->type_name("S");
  command->add_option("--seed", flags->seed, "equal seeds ask the same")
      ->type_name("N")
      ->check(is_seed);
  command->add_flag("--insecure", flags->insecure, "do not check the server's TLS certificate");
  command->add_flag("--json", flags->json, "print JSON");
  command->add_option("--plot", flags->plot, "draw the run into an SVG file")->type_name("FILE");
  command->footer(
      "Examples:\n"
      "  fathom loadtest http://127.0.0.1:8080 --sessions 16 --duration 60\n"
      "  fathom loadtest http://127.0.0.1:8080 --rate 4 --output-tokens lognormal:128,0.7\n"
      "  fathom loadtest https://host/v1 --trace day.jsonl --json --plot day.svg");
  command->callback([&chosen, flags] { chosen.action = [flags] { return run_loadtest(*flags); }; });
}

}  // namespace fathom::cli

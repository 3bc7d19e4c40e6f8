// fathom: the command line. Parses, runs the chosen command, and turns errors into exit codes:
// 0 done, 1 failed, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "cli/command.h"
#include "cli/plan.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

int report(const Error& error) {
  note(fmt::format("fathom: {}\n", error.message));
  return error.kind == ErrorKind::kUsage ? 2 : 1;
}

// Which flags exclude each other the messages say; lists of them would hide the help.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string text = CLI::Formatter::make_option_opts(option);
    return text.substr(0, text.find(" " + get_label("Excludes") + ":"));
  }
};

// The words behind the program's name, where "help COMMAND" is "COMMAND --help"; the last comes
// first, as CLI11 takes them.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  return {words.rbegin(), words.rend()};
}

// The command that was being parsed, for the hint.
std::string command_name(const CLI::App& app) {
  for (const auto* command : app.get_subcommands()) return "fathom " + command->get_name();
  return "fathom";
}

int run_command_line(int argc, char** argv) {
  CLI::App app(
      "Fathom runs DeepSeek-family language models (GGUF files and Hugging Face\n"
      "checkpoints) on CPUs.",
      "fathom");
  app.set_version_flag("--version", "fathom " FATHOM_VERSION, "Print the version and exit");
  app.require_subcommand(1, 1);  // exactly one, or a prompt "chat" would start a chat
  app.formatter(std::make_shared<HelpFormatter>());
  app.get_formatter()->column_width(34);
  // A flag given again overrides, so that a script's defaults can be changed behind them.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Chosen chosen;
  add_run(app, chosen);
  add_chat(app, chosen);
  add_inspect(app, chosen);
  add_tokenize(app, chosen);
  add_logits(app, chosen);
  add_bench(app, chosen);
  add_eval(app, chosen);
  add_quantize(app, chosen);
  add_lora(app, chosen);
  add_calibrate(app, chosen);
  add_pull(app, chosen);
  add_serve(app, chosen);
  add_keys(app, chosen);
  add_usage(app, chosen);
  add_route(app, chosen);
  add_loadtest(app, chosen);
  add_plan(app, chosen);
  // Last, because commands take over the footer that there is when they are added.
  app.footer(
      "Examples:\n"
      "  fathom pull default                    fetch the default model\n"
      "  fathom run \"Why is the sky blue?\"      answer a prompt with it\n"
      "  fathom chat -m model.gguf              talk with a model of your own\n"
      "  fathom inspect model.gguf              what is in a checkpoint\n"
      "fathom COMMAND --help, or fathom help COMMAND, explains a command.\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage.");
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->get_subcommands(nullptr).empty()) continue;
    command->footer(fmt::format("fathom {} COMMAND --help explains one.", command->get_name()));
  }

  if (argc <= 1) {
    note(app.help());
    return 2;
  }
  std::vector<std::string> words = words_of(argc, argv);
  const auto commands = app.get_subcommands(nullptr);
  const auto is_named = [&](const CLI::App* command) { return command->check_name(words.back()); };
  if (const std::string& first = words.back();
      !first.starts_with('-') && std::ranges::none_of(commands, is_named)) {
    return report({fmt::format("There is no command {}. See fathom --help.", in_quotes(first)),
                   ErrorKind::kUsage});
  }
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForVersion& version) {
    print(std::string(version.what()) + "\n");
    return output_status() ? 0 : report(output_status().error());
  } catch (const CLI::Success&) {
    print(app.help());
    return output_status() ? 0 : report(output_status().error());
  } catch (const CLI::ParseError& error) {
    return report(
        {fmt::format("{}. See {} --help.", error.what(), command_name(app)), ErrorKind::kUsage});
  }

  const Result<int> code = chosen.action();
  if (!code) return report(code.error());
  if (const Status status = output_status(); !status) return report(status.error());
  return *code;
}

}  // namespace
}  // namespace fathom::cli

int main(int argc, char** argv) {
  using namespace fathom::cli;
  prepare_streams();
  try {
    return run_command_line(argc, argv);
  } catch (const std::bad_alloc&) {
    note("fathom: There is not enough memory. Choose a smaller model or a smaller --context.\n");
  } catch (const std::exception& error) {
    note(fmt::format("fathom: {}\n", error.what()));
  }
  return 1;
}

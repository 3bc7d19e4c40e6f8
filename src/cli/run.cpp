// fathom run: one prompt, one answer.
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "cli/answer_printer.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/generate_options.h"
#include "cli/input_file.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

struct RunOptions {
  GenerateFlags generate;
  std::optional<std::string> prompt;
  std::string json_schema;  // a file
  std::string regex;
  std::string grammar;  // a file
};

Result<std::optional<AnswerFormat>> answer_format(const RunOptions& options) {
  const bool schema = !options.json_schema.empty();
  const bool regex = !options.regex.empty();
  const bool grammar = !options.grammar.empty();
  if (schema + regex + grammar > 1) {
    return usage_error(
        "--json-schema, --regex and --grammar each say what the answer looks like; "
        "give one of them.");
  }
  AnswerFormat format;
  if (schema) {
    FATHOM_TRY(format.text, read_input_file(options.json_schema));
    format.kind = AnswerFormat::Kind::kJsonSchema;
  } else if (regex) {
    format = {.kind = AnswerFormat::Kind::kRegex, .text = options.regex};
  } else if (grammar) {
    FATHOM_TRY(format.text, read_input_file(options.grammar));
    format.kind = AnswerFormat::Kind::kGrammar;
  } else {
    return std::nullopt;
  }
  return format;
}

Result<std::string> read_prompt(const RunOptions& options) {
  const bool named = options.prompt && *options.prompt != "-";
  if (!options.prompt && is_terminal(Stream::kInput)) {
    return usage_error("There is no prompt. Give one: fathom run \"Why is the sky blue?\"");
  }
  std::string prompt;
  if (named) {
    prompt = *options.prompt;
  } else {
    FATHOM_TRY(prompt, read_input());
    // A line's end belongs to the pipe, not to the question; a bare prompt stays as it is.
    if (!options.generate.raw && prompt.ends_with('\n')) prompt.pop_back();
  }
  if (prompt.empty()) return usage_error("The prompt is empty.");
  return prompt;
}

Result<int> run(const RunOptions& options) {
  const GenerateFlags& flags = options.generate;
  FATHOM_CHECK(validate(flags));
  FATHOM_TRY(const auto format, answer_format(options));
  FATHOM_TRY(const std::string prompt, read_prompt(options));

  const auto start = std::chrono::steady_clock::now();
  FATHOM_TRY(const Model model, load_model(model_options(flags)));
  FATHOM_TRY(const Speculation speculate, speculation(flags));
  const std::chrono::duration<double> load_time = std::chrono::steady_clock::now() - start;
  Session session(model, flags.model.context);
  FATHOM_CHECK(session.speculate(speculate));
  GenerateOptions generate = generate_options(flags, model.recommended_sampling());
  generate.format = format;

  const InterruptScope interrupt;
  AnswerPrinter printer(flags.hide_thinking);
  const OnPiece on_piece = [&](const Piece& piece) {
    return (flags.json || printer.print_piece(piece)) && !interrupt.requested();
  };
  std::vector<Message> messages;
  if (!flags.system.empty()) messages.push_back({"system", flags.system});
  messages.push_back({"user", prompt});
  const auto answer = flags.raw ? session.complete(prompt, generate, on_piece)
                                : session.chat(messages, generate, on_piece);
  if (!flags.json) printer.finish();
  if (!answer) return std::unexpected(answer.error());

  if (flags.json) {
    print(json_text({.answer = *answer,
                     .model = model.info(),
                     .seed = generate.sampling.seed.value_or(0),
                     .load_seconds = load_time.count(),
                     .context = session.context()},
                    2));
  }
  if (flags.stats) note(stats_line(*answer));
  return interrupt.requested() ? kInterruptedExitCode : 0;
}

}  // namespace

void add_run(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("run", "answer one prompt");
  auto options = std::make_shared<RunOptions>();
  command->add_option("PROMPT", options->prompt,
                      "the prompt; - or left out: read from standard input");
  add_generate_options(*command, options->generate);
  command
      ->add_option("--json-schema", options->json_schema,
                   "the answer is JSON that obeys the schema in FILE")
      ->type_name("FILE");
  command->add_option("--regex", options->regex, "the whole answer matches the regular expression")
      ->type_name("REGEX");
  command
      ->add_option("--grammar", options->grammar,
                   "the answer is a sentence of the grammar in FILE (Lark)")
      ->type_name("FILE");
  command->footer(
      "Examples:\n"
      "  fathom run \"Why is the sky blue?\"\n"
      "  fathom run -m model.gguf --temperature 0 --max-tokens 100 \"Count to ten.\"\n"
      "  cat letter.txt | fathom run --system \"Summarise in one sentence.\"\n"
      "  fathom run --raw \"Once upon a time\"\n"
      "A prompt that begins with a dash goes after --. Ctrl-C ends the answer (exit code 130).");
  command->callback([&chosen, options] { chosen.action = [options] { return run(*options); }; });
}

}  // namespace fathom::cli

// fathom chat: a conversation, one line at a time.
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "cli/answer_printer.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/conversation.h"
#include "cli/generate_options.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

constexpr std::string_view kHelp =
    "/help          this list\n"
    "/reset         forget the conversation\n"
    "/regenerate    another answer to the last message\n"
    "/system TEXT   set the system message and begin anew; without TEXT, show it\n"
    "/exit          leave (so does Ctrl-D)\n"
    "A line that ends in \\ goes on in the next. Ctrl-C stops an answer.\n";

class Chat {
 public:
  Chat(const GenerateFlags& flags, const Model& model, double load_seconds)
      : flags_(flags),
        model_(model),
        load_seconds_(load_seconds),
        session_(model, flags.model.context),
        conversation_(session_, flags.raw, flags.system),
        generate_(generate_options(flags, model.recommended_sampling())),
        interactive_(is_terminal(Stream::kInput)) {}

  Status speculate(const Speculation& speculation) { return session_.speculate(speculation); }
  Result<int> loop();

 private:
  enum class Next { kGoOn, kLeave };

  // Reads a message, with the lines that continue it.
  LineReader::Event read_message(std::string& message);
  Result<Next> obey(std::string_view line);
  Result<Next> answer(const std::string* line);  // nullptr: the last one again
  void prompt(std::string_view text);

  const GenerateFlags& flags_;
  const Model& model_;
  double load_seconds_;
  Session session_;
  Conversation conversation_;
  GenerateOptions generate_;
  bool interactive_;
  LineReader reader_;
  InterruptScope interrupt_;
};

// Only where somebody types; a program that talks to us wants answers alone.
void Chat::prompt(std::string_view text) {
  if (interactive_) note(text);
}

LineReader::Event Chat::read_message(std::string& message) {
  message.clear();
  prompt("> ");
  std::string line;
  while (true) {
    const auto event = reader_.next(line);
    if (event == LineReader::Event::kEnd && !message.empty()) return LineReader::Event::kLine;
    if (event != LineReader::Event::kLine) return event;
    message += line;
    if (!line.ends_with('\\')) return event;
    message.back() = '\n';
    prompt(". ");
  }
}

Result<int> Chat::loop() {
  prompt(fmt::format("{}. /help lists commands, Ctrl-D ends the chat.\n",
                     model_.info().name.empty() ? "Ready" : model_.info().name));
  std::string message;
  while (output_status() && print("")) {
    interrupt_.clear();
    const auto event = read_message(message);
    if (event == LineReader::Event::kEnd) {
      prompt("\n");
      break;
    }
    if (event == LineReader::Event::kInterrupt) {
      prompt("\n(Ctrl-D or /exit ends the chat.)\n");
      continue;
    }
    if (message.find_first_not_of(" \t\n") == std::string::npos) continue;
    const auto next = message.starts_with('/') ? obey(message) : answer(&message);
    if (!next) {
      // Somebody who types can try another line; a program must learn of the failure.
      if (!interactive_) return std::unexpected(next.error());
      note(fmt::format("fathom: {}\n", next.error().message));
    } else if (*next == Next::kLeave) {
      break;
    }
  }
  FATHOM_CHECK(reader_.status());
  return 0;
}

Result<Chat::Next> Chat::obey(std::string_view line) {
  const size_t space = line.find(' ');
  const std::string_view command = line.substr(0, space);
  std::string_view rest = space == std::string_view::npos ? "" : line.substr(space + 1);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  if (command == "/exit" || command == "/quit") return Next::kLeave;
  if (command == "/regenerate") {
    if (!conversation_.can_regenerate()) return fail("There is no message to answer again.");
    // With a fixed seed the same answer would come again.
    if (generate_.sampling.seed) ++*generate_.sampling.seed;
    return answer(nullptr);
  }
  if (command == "/help") {
    note(kHelp);
  } else if (command == "/reset") {
    conversation_.reset();
    prompt("(The conversation begins anew.)\n");
  } else if (command == "/system") {
    if (flags_.raw) return fail("/system needs the chat template; this chat runs with --raw.");
    if (rest.empty()) {
      note(conversation_.system().empty() ? "(There is no system message.)\n"
                                          : conversation_.system() + "\n");
    } else {
      conversation_.set_system(std::string(rest));
      prompt("(The conversation begins anew.)\n");
    }
  } else {
    return fail(
        "There is no command {}; /help lists them. To say a line that begins with a slash, put "
        "a space before it.",
        command);
  }
  return Next::kGoOn;
}

Result<Chat::Next> Chat::answer(const std::string* line) {
  AnswerPrinter printer(flags_.hide_thinking);
  const OnPiece on_piece = [&](const Piece& piece) {
    return (flags_.json || printer.print_piece(piece)) && !interrupt_.requested();
  };
  const auto answer = line != nullptr ? conversation_.say(*line, generate_, on_piece)
                                      : conversation_.regenerate(generate_, on_piece);
  if (!flags_.json) printer.finish();
  if (!answer) return std::unexpected(answer.error());
  if (flags_.json) {
    print(json_text({.answer = *answer,
                     .model = model_.info(),
                     .seed = generate_.sampling.seed.value_or(0),
                     .load_seconds = load_seconds_,
                     .context = session_.context()},
                    -1));
  }
  if (answer->finish == FinishReason::kCancelled) prompt("(stopped)\n");
  if (answer->finish == FinishReason::kLength && !flags_.max_tokens) {
    note("(The context is full: /reset begins anew, --context N makes it larger.)\n");
  }
  if (flags_.stats) note(stats_line(*answer));
  // A new answer is drawn anew, yet the whole chat follows from its first seed.
  if (generate_.sampling.seed && !flags_.seed) ++*generate_.sampling.seed;
  return Next::kGoOn;
}

Result<int> chat(const GenerateFlags& flags) {
  FATHOM_CHECK(validate(flags));
  const auto start = std::chrono::steady_clock::now();
  FATHOM_TRY(const Model model, load_model(model_options(flags)));
  FATHOM_TRY(const Speculation speculate, speculation(flags));
  const std::chrono::duration<double> load_time = std::chrono::steady_clock::now() - start;
  Chat chat(flags, model, load_time.count());
  FATHOM_CHECK(chat.speculate(speculate));
  return chat.loop();
}

}  // namespace

void add_chat(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("chat", "talk with a model, one line at a time");
  auto flags = std::make_shared<GenerateFlags>();
  add_generate_options(*command, *flags);
  command->footer(
      "Examples:\n"
      "  fathom chat\n"
      "  fathom chat -m model.gguf --system \"You answer in rhymes.\"\n"
      "  printf 'My name is Ann.\\nWhat is my name?\\n' | fathom chat --temperature 0\n"
      "Inside: /help, /reset, /regenerate, /system TEXT, /exit. Ctrl-C stops an answer, Ctrl-D\n"
      "ends the chat.");
  command->callback([&chosen, flags] { chosen.action = [flags] { return chat(*flags); }; });
}

}  // namespace fathom::cli

// fathom tokenize: the ids and pieces of a text. Needs no weights.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/terminal.h"
#include "text/tokenizer.h"

namespace fathom::cli {
namespace {

struct TokenizeOptions {
  ModelOptions model;
  std::vector<std::optional<std::string>> positionals{2};
  std::string special = "plain";
  bool no_bos = false;
  bool json = false;
};

// MODEL TEXT, or TEXT alone with -m or for the default model.
Result<std::string> take_text(TokenizeOptions& options) {
  const auto& [first, second] = std::tie(options.positionals[0], options.positionals[1]);
  if (!first) {
    return usage_error(
        "There is no text. Give one: fathom tokenize MODEL \"Hello\", or - for "
        "standard input.");
  }
  std::string text = *first;
  if (second) {
    FATHOM_CHECK(take_positional_model(options.model, *first));
    text = *second;
  } else if (options.model.model.empty() && std::filesystem::exists(text)) {
    return usage_error("There is no text to tokenize with {}. Add one, or - for standard input.",
                       text);
  }
  if (text == "-") return read_input();
  return text;
}

Result<int> tokenize(TokenizeOptions options) {
  if (options.special != "plain" && options.special != "parse") {
    return usage_error("--special is \"{}\"; it must be plain or parse.", options.special);
  }
  FATHOM_TRY(const std::string text, take_text(options));
  FATHOM_TRY(const auto path, find_model(options.model));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  if (checkpoint->text().tokenizer_json.empty() && !checkpoint->text().gguf) {
    return fail("{} has no tokenizer. Put the model's tokenizer.json beside its weights.",
                path.string());
  }
  FATHOM_TRY(const auto tokenizer, Tokenizer::make(checkpoint->text()));
  const auto special = options.special == "parse" ? SpecialText::kParse : SpecialText::kPlain;
  FATHOM_TRY(const auto tokens, tokenizer->encode(text, special, !options.no_bos));

  using Json = nlohmann::ordered_json;
  constexpr auto kReplace = Json::error_handler_t::replace;
  if (options.json) {
    Json pieces = Json::array();
    for (const int32_t token : tokens) pieces.push_back(tokenizer->piece(token));
    const Json json = {{"count", tokens.size()}, {"tokens", tokens}, {"pieces", pieces}};
    print(json.dump(-1, ' ', false, kReplace) + "\n");
  } else {
    std::string out;
    for (const int32_t token : tokens) {
      // Quoted as in JSON, so that white space and control characters show.
      out += fmt::format("{:>8}  {}\n", token,
                         Json(tokenizer->piece(token)).dump(-1, ' ', false, kReplace));
    }
    print(out);
  }
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("tokenize", "show the token ids and pieces of a text");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("MODEL", options->positionals[0],
                      "as for -m; the default model if only TEXT is given");
  command->add_option("TEXT", options->positionals[1], "the text; -: standard input, as it is");
  add_model_option(*command, options->model);
  command
      ->add_option("--special", options->special,
                   "plain: \"<|end|>\" in the text is ordinary text; parse: it is the special "
                   "token")
      ->type_name("plain|parse");
  command->add_flag("--no-bos", options->no_bos,
                    "leave out the tokens that the model puts around every text");
  command->add_flag("--json", options->json, "print {\"count\", \"tokens\", \"pieces\"}");
  command->footer(
      "Examples:\n"
      "  fathom tokenize model.gguf \"Hello, world\"\n"
      "  fathom tokenize \"Hello\" --json                 with the default model\n"
      "  cat page.txt | fathom tokenize -m model.gguf -");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return tokenize(*options); }; });
}

}  // namespace fathom::cli

// fathom logits: the model's raw output for given token ids, for comparing with other programs.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>

#include "cli/command.h"
#include "cli/format.h"
#include "cli/model_options.h"
#include "cli/output_file.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

struct LogitsOptions {
  ModelOptions model;
  std::string positional_model;
  std::string tokens;
  bool all = false;
  std::string json;  // where to write; empty or "-": standard output
};

Result<std::vector<int32_t>> parse_tokens(const std::string& text) {
  FATHOM_TRY(const auto numbers, parse_integers(text, "--tokens"));
  std::vector<int32_t> tokens;
  for (const int64_t number : numbers) {
    if (number < 0 || number > std::numeric_limits<int32_t>::max()) {
      return fail("The token id {} is outside the vocabulary: no model has such ids.", number);
    }
    tokens.push_back(static_cast<int32_t>(number));
  }
  return tokens;
}

// Appends the shortest text that reads back as the same float. JSON has no infinities.
void append_number(std::string& out, float number) {
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{}", number);
  } else {
    out += "null";
  }
}

std::string json_text(const std::vector<std::vector<float>>& rows) {
  std::string out = "{\"logits\": [";
  for (size_t i = 0; i < rows.size(); ++i) {
    out += i == 0 ? "[" : ",\n[";
    for (size_t j = 0; j < rows[i].size(); ++j) {
      if (j > 0) out += ", ";
      append_number(out, rows[i][j]);
    }
    out += "]";
  }
  return out + "]}\n";
}

Result<int> logits(LogitsOptions options) {
  FATHOM_CHECK(take_positional_model(options.model, options.positional_model));
  FATHOM_CHECK(validate(options.model));
  FATHOM_TRY(const auto tokens, parse_tokens(options.tokens));
  FATHOM_TRY(const Model model, load_model(options.model));
  const int64_t context =
      options.model.context > 0 ? options.model.context : static_cast<int64_t>(tokens.size());
  Session session(model, context);
  FATHOM_TRY(const auto rows, session.logits(tokens, options.all));
  const std::string text = json_text(rows);
  if (options.json.empty() || options.json == "-") {
    print(text);
  } else {
    FATHOM_CHECK(write_output_file(options.json, text));
  }
  return 0;
}

}  // namespace

void add_logits(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("logits", "compute raw logits for a list of token ids");
  auto options = std::make_shared<LogitsOptions>();
  command->add_option("MODEL", options->positional_model,
                      "a GGUF file, a checkpoint directory or a pulled model; the default model "
                      "if left out");
  add_model_option(*command, options->model);
  add_adapter_option(*command, options->model);
  command->add_option("--tokens", options->tokens, "token ids, such as 1,2,3")
      ->type_name("IDS")
      ->required();
  command->add_flag("--all", options->all, "a row for every position, not only the last");
  command
      ->add_option("--json", options->json,
                   "write {\"logits\": [[...], ...]} to FILE instead of standard output")
      ->type_name("FILE");
  add_context_option(*command, options->model);
  add_kv_cache_option(*command, options->model);
  add_calibration_option(*command, options->model);
  add_compute_options(*command, options->model);
  add_packed_cache_options(*command, options->model);
  command->footer(
      "Needs no tokenizer. Examples:\n"
      "  fathom logits model.gguf --tokens 1,2,3\n"
      "  fathom logits checkpoint-directory --tokens 5,6 --all --kernels reference --json "
      "out.json");
  command->callback([&chosen, options] { chosen.action = [options] { return logits(*options); }; });
}

}  // namespace fathom::cli

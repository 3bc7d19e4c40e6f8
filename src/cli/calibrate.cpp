// fathom calibrate: the one temperature that brings a shrunk model closest to the original.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/stored_temperature.h"
#include "cli/command.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "engine/calibration.h"
#include "engine/engine.h"
#include "evaluate/temperature.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

struct CalibrateOptions {
  ModelOptions model;
  std::string reference;
  std::string text;
  std::string output;
  bool in_place = false;
  bool per_position = false;
  bool json = false;
  Windowing windowing;
  int64_t max_tokens = 0;
};

Status validate(const CalibrateOptions& options) {
  FATHOM_CHECK(cli::validate(options.model));
  FATHOM_CHECK(cut_windows(0, options.windowing));
  if (options.max_tokens < 0) {
    return usage_error("--max-tokens is {}; it must be positive, or 0 for the whole text.",
                       options.max_tokens);
  }
  if (options.in_place && !options.output.empty()) {
    return usage_error("-o and --in-place each say where the temperature goes; give one of them.");
  }
  return {};
}

Result<std::vector<int32_t>> read_tokens(const Model& model, const CalibrateOptions& options) {
  FATHOM_TRY(const std::string text, read_input_file(options.text));
  if (text.empty()) return fail("{} is empty: there is nothing to calibrate on.", options.text);
  FATHOM_TRY(auto tokens, model.tokenize(text));
  if (options.max_tokens > 0 && std::ssize(tokens) > options.max_tokens) {
    tokens.resize(static_cast<size_t>(options.max_tokens));
  }
  return tokens;
}

Result<std::optional<Model>> load_reference(const CalibrateOptions& options,
                                            const std::vector<int32_t>& tokens) {
  if (options.reference.empty()) return std::nullopt;
  ModelOptions reference = options.model;
  reference.model = options.reference;
  FATHOM_TRY(Model model, load_model(reference));
  if (model.info().context < options.windowing.context) {
    return usage_error("--context is {} and {} was made for {} tokens.", options.windowing.context,
                       model.info().name, model.info().context);
  }
  if (model.info().has_tokenizer) {
    FATHOM_TRY(const auto others, read_tokens(model, options));
    if (others != tokens) {
      return fail("The model and {} cut the text into different tokens: they cannot be compared.",
                  options.reference);
    }
  }
  return model;
}

Json measure_json(const CalibrationMeasure& measure, bool with_kl) {
  Json json = {{"nll", measure.nll}};
  if (with_kl) json["kl"] = measure.kl;
  json["expected_calibration_error"] = measure.calibration_error;
  return json;
}

std::string table(const TemperatureResult& result, bool with_kl) {
  const std::vector<float>& bias = result.temperature.bias;
  const auto line = [&](std::string_view label, double CalibrationMeasure::* member) {
    std::string text = fmt::format("{:<28}{:>10.6f} {:>10.6f}", label, result.before.*member,
                                   result.everywhere.*member);
    if (!bias.empty()) text += fmt::format(" {:>11.6f}", result.after.*member);
    return text + "\n";
  };
  std::string out =
      fmt::format("temperature {:.5f}, fitted on {} tokens; on {} others:\n",
                  result.temperature.value, result.fitted_tokens, result.measured_tokens);
  out += fmt::format("{:<28}{:>10} {:>10}", "", "before", "after");
  out += bias.empty() ? "\n" : " by position\n";
  out += line("nll, nats a token", &CalibrationMeasure::nll);
  if (with_kl) out += line("KL(reference || model)", &CalibrationMeasure::kl);
  out += line("expected calibration error", &CalibrationMeasure::calibration_error);
  for (size_t k = 0; k < bias.size(); ++k) {
    const int64_t first = (int64_t{1} << k) - 1;
    out += fmt::format("temperature from position {:>6} on: {:.5f}\n", first,
                       result.temperature.at(first));
  }
  return out;
}

Result<int> calibrate(const CalibrateOptions& options) {
  FATHOM_CHECK(validate(options));
  FATHOM_TRY(const Model model, load_model(options.model));
  // What is fitted replaces what an earlier run stored.
  forget_calibration(model);
  if (model.info().context < options.windowing.context) {
    return usage_error("--context is {} and {} was made for {} tokens.", options.windowing.context,
                       model.info().name, model.info().context);
  }
  FATHOM_TRY(const auto tokens, read_tokens(model, options));
  FATHOM_TRY(const auto reference, load_reference(options, tokens));
  FATHOM_TRY(const TemperatureResult result, ([&] {
               const InterruptScope interrupt;
               WorkProgress progress("Calibrating");
               return fit_temperature(
                   model, reference ? &*reference : nullptr, tokens, options.windowing,
                   [&](int64_t read) {
                     progress.show(static_cast<double>(read) / static_cast<double>(tokens.size()));
                     return !interrupt.requested();
                   },
                   options.per_position);
             }()));
  const bool stored = options.in_place || !options.output.empty();
  const Checkpoint& checkpoint = *model.impl()->engine->checkpoint;
  if (stored) FATHOM_CHECK(store_temperature(checkpoint, result.temperature, options.output));
  const std::string where =
      !stored ? "" : (options.in_place ? checkpoint.path().string() : options.output);
  if (options.json) {
    Json json = {{"temperature", result.temperature.value},
                 {"before", measure_json(result.before, reference.has_value())},
                 {"after", measure_json(result.after, reference.has_value())},
                 {"fitted_tokens", result.fitted_tokens},
                 {"measured_tokens", result.measured_tokens},
                 {"model", model.info().name}};
    if (options.per_position) {
      json["temperature_bias"] = result.temperature.bias;
      json["after_without_bias"] = measure_json(result.everywhere, reference.has_value());
    }
    json["reference"] = reference ? Json(reference->info().name) : Json(nullptr);
    json["stored_in"] = stored ? Json(where) : Json(nullptr);
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return 0;
  }
  print(table(result, reference.has_value()));
  print(stored ? fmt::format("stored in {}\n", where)
               : std::string("Nothing was stored: -o FILE writes a calibrated copy, --in-place "
                             "changes the model's own file.\n"));
  return 0;
}

}  // namespace

void add_calibrate(CLI::App& app, Chosen& chosen) {
  auto* command =
      app.add_subcommand("calibrate", "fit a temperature to a shrunk model and store it with it");
  auto options = std::make_shared<CalibrateOptions>();
  add_model_option(*command, options->model);
  command
      ->add_option("--text", options->text,
                   "text that the model has not seen, UTF-8; -: standard input")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--reference", options->reference,
                   "the original, as for -m: come closest to its distribution (KL); left out: to "
                   "the text")
      ->type_name("MODEL");
  command
      ->add_option("-o,--output", options->output,
                   "write a calibrated copy: a GGUF file, or a new directory")
      ->type_name("PATH");
  command->add_flag("--in-place", options->in_place, "store the temperature in the model itself");
  command->add_flag("--per-position", options->per_position,
                    "also a bias of the temperature by how many tokens were read (by octaves)");
  command->add_option("--context", options->windowing.context, "tokens in a window (512)")
      ->type_name("N");
  command->add_option("--max-tokens", options->max_tokens, "use only the text's first N tokens")
      ->type_name("N");
  add_compute_options(*command, options->model);
  add_packed_cache_options(*command, options->model);
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Examples:\n"
      "  fathom calibrate -m small.gguf --reference original.gguf --text book.txt -o better.gguf\n"
      "  fathom calibrate -m small.gguf --text book.txt --in-place\n"
      "run, chat, serve, eval and logits divide logits by what is stored; --no-calibration leaves "
      "it out.");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return calibrate(*options); }; });
}

}  // namespace fathom::cli

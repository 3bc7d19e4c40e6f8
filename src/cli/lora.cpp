// fathom lora: low-rank adapters, folded into a checkpoint or made of the difference of two.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "checkpoint/lora_adapter.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "compress/extract_lora.h"
#include "compress/merge_lora.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

struct MergeCommand {
  ModelOptions model;
  std::string adapter;
  std::string output;
  std::string type;
  bool json = false;
};

Result<std::optional<DType>> plain_type(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (name == "f32") return DType::kF32;
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  return usage_error("--type is {}; it must be f32, f16 or bf16.", name);
}

Result<int> merge(const MergeCommand& command) {
  FATHOM_CHECK(validate(command.model));
  MergeOptions options;
  FATHOM_TRY(options.type, plain_type(command.type));
  options.threads = command.model.threads;
  FATHOM_TRY(const auto path, find_model(command.model));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  FATHOM_TRY(const LoraAdapter adapter, read_lora_adapter(command.adapter, *checkpoint));
  const OutputFormat format =
      checkpoint->format().starts_with("GGUF") ? OutputFormat::kGguf : OutputFormat::kHuggingFace;
  const InterruptScope interrupt;
  WorkProgress progress("Merging");
  options.on_progress = [&](double fraction) {
    progress.show(fraction);
    return !interrupt.requested();
  };
  FATHOM_TRY(const MergeReport report,
             merge_lora(*checkpoint, adapter, command.output, format, options));
  if (command.json) {
    const Json json = {
        {"output", command.output}, {"bytes", report.bytes}, {"changed_tensors", report.changed}};
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(fmt::format("{}\n{} tensors changed, {} written\n", command.output, report.changed,
                      format_bytes(report.bytes)));
  }
  return 0;
}

void add_merge(CLI::App& lora, Chosen& chosen) {
  auto* command = lora.add_subcommand("merge", "fold an adapter into a checkpoint's weights");
  auto options = std::make_shared<MergeCommand>();
  add_model_option(*command, options->model);
  command
      ->add_option("--lora", options->adapter,
                   "the adapter: a directory with adapter_config.json and "
                   "adapter_model.safetensors, as PEFT saves it")
      ->type_name("DIR")
      ->required();
  command->add_option("-o,--output", options->output, "where the result goes")
      ->type_name("PATH")
      ->required();
  command
      ->add_option(
          "--type", options->type,
          "write all matrices as this; needed where the model is quantised. Each keeps its "
          "type if left out")
      ->type_name("f32|f16|bf16");
  command->add_option("--threads", options->model.threads, "threads to compute with; 0: all cores")
      ->type_name("N");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Example:\n"
      "  fathom lora merge -m checkpoint/ --lora adapter/ -o merged/");
  command->callback([&chosen, options] { chosen.action = [options] { return merge(*options); }; });
}

struct ExtractCommand {
  ModelOptions model;
  std::string base;
  std::string output;
  bool json = false;
  ExtractOptions options;
};

Result<int> extract(const ExtractCommand& command) {
  FATHOM_CHECK(validate(command.model));
  ExtractOptions options = command.options;
  options.threads = command.model.threads;
  ModelOptions base_options = command.model;
  base_options.model = command.base;
  FATHOM_TRY(const auto path, find_model(command.model));
  FATHOM_TRY(const auto base_path, find_model(base_options));
  FATHOM_TRY(const auto tuned, Checkpoint::open(path));
  FATHOM_TRY(const auto base, Checkpoint::open(base_path));
  const InterruptScope interrupt;
  WorkProgress progress("Extracting");
  options.on_progress = [&](double fraction) {
    progress.show(fraction);
    return !interrupt.requested();
  };
  FATHOM_TRY(const ExtractReport report, extract_lora(*tuned, *base, command.output, options));
  if (command.json) {
    const Json json = {{"output", command.output},
                       {"rank", options.rank},
                       {"modules", report.modules},
                       {"kept", report.kept},
                       {"bytes", report.bytes}};
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(fmt::format(
        "{}\n{} layers differ; rank {} holds {:.1f}% of the difference's squares, in {}\n",
        command.output, report.modules, options.rank, 100 * report.kept,
        format_bytes(report.bytes)));
  }
  return 0;
}

void add_extract(CLI::App& lora, Chosen& chosen) {
  auto* command =
      lora.add_subcommand("extract", "make an adapter of the difference of two checkpoints");
  auto options = std::make_shared<ExtractCommand>();
  add_model_option(*command, options->model);
  command
      ->add_option(
          "--base", options->base,
          "the checkpoint that the adapter is for: what the model was before it was tuned, "
          "or the model quantised")
      ->type_name("MODEL")
      ->required();
  command->add_option("--rank", options->options.rank, "of the adapter (16)")->type_name("R");
  command->add_option("-o,--output", options->output, "the adapter's directory")
      ->type_name("DIR")
      ->required();
  command->add_option("--threads", options->model.threads, "threads to compute with; 0: all cores")
      ->type_name("N");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Example:\n"
      "  fathom lora extract -m tuned/ --base original/ --rank 32 -o adapter/");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return extract(*options); }; });
}

}  // namespace

void add_lora(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("lora", "work with low-rank adapters (LoRA)");
  command->require_subcommand(1);
  add_merge(*command, chosen);
  add_extract(*command, chosen);
}

}  // namespace fathom::cli

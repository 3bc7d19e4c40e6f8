#include "cli/model_options.h"

#include <CLI/CLI.hpp>

#include "cli/input_file.h"
#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "engine/calibration.h"
#include "hub/model_cache.h"

namespace fathom::cli {
namespace {

constexpr int kMostThreads = 1024;
constexpr int64_t kLongestContext = int64_t{1} << 24;
constexpr double kMostCacheGigabytes = 1e6;

}  // namespace

void add_model_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("-m,--model", options.model,
                  "a GGUF file, a Hugging Face checkpoint directory, or the name of a pulled "
                  "model; the default model if left out")
      ->type_name("MODEL");
}

void add_compute_options(CLI::App& command, ModelOptions& options) {
  command.add_option("--threads", options.threads, "threads to compute with; 0: one for each core")
      ->type_name("N");
  command.add_flag(
      "--pin", options.pin,
      "bind threads to processors, a core each as far as they go; for machines that do "
      "nothing else");
  command.add_flag("--no-numa", options.no_numa,
                   "do not spread weights and cache over the memory nodes of a large machine");
  command
      .add_option("--kernels", options.kernels,
                  "auto: the fastest for this CPU; reference: plain loops, slow and exact")
      ->type_name("auto|reference");
}

void add_kv_cache_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--kv-cache", options.kv_cache,
                  "what keys and values are kept as; int8 takes about half the memory; auto: f16")
      ->type_name("auto|f16|bf16|int8");
}

void add_template_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--chat-template", options.chat_template,
                  "a file with a chat template (Jinja), in place of the model's own")
      ->type_name("FILE");
}

void add_calibration_option(CLI::App& command, ModelOptions& options) {
  command.add_flag("--no-calibration", options.no_calibration,
                   "leave out the temperature that fathom calibrate stored with the model");
}

void add_adapter_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--lora", options.adapter,
                  "a directory with a LoRA adapter for the model, as PEFT writes it")
      ->type_name("DIR");
}

void add_context_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--context", options.context,
                  "most tokens of prompt and answer together; 0: the model's own limit")
      ->type_name("N");
}

void add_packed_cache_options(CLI::App& command, ModelOptions& options) {
  command.add_flag("--no-packed-cache", options.no_packed_cache,
                   "neither use nor keep packed weights on disk");
  command
      .add_option("--packed-cache-size", options.packed_cache_gigabytes,
                  fmt::format("most GB of packed weights to keep on disk ({:.0f})",
                              options.packed_cache_gigabytes))
      ->type_name("GB");
}

Status take_positional_model(ModelOptions& options, const std::string& positional) {
  if (positional.empty()) return {};
  if (!options.model.empty()) {
    return usage_error("The model is given twice: as {} and as -m {}.", positional, options.model);
  }
  options.model = positional;
  return {};
}

Result<std::filesystem::path> find_model(const ModelOptions& options) {
  const auto cache = hub::ModelCache::of_user();
  if (cache) return cache->resolve(options.model.empty() ? hub::kDefaultModelName : options.model);
  // Without a home there are no names, but there are files.
  std::error_code ignored;
  if (!options.model.empty() && std::filesystem::exists(options.model, ignored)) {
    return std::filesystem::path(options.model);
  }
  return std::unexpected(cache.error());
}

Status validate(const ModelOptions& options) {
  if (options.threads < 0 || options.threads > kMostThreads) {
    return usage_error("--threads is {}; it must be 1 to {}, or 0 for one for each core.",
                       options.threads, kMostThreads);
  }
  if (options.context < 0 || options.context > kLongestContext) {
    return usage_error("--context is {}; it must be 1 to {} tokens, or 0 for the model's own.",
                       options.context, kLongestContext);
  }
  // Written so that NaN fails.
  if (!(options.packed_cache_gigabytes >= 0 &&
        options.packed_cache_gigabytes <= kMostCacheGigabytes)) {
    return usage_error("--packed-cache-size is {}; it must be 0 to {} GB.",
                       options.packed_cache_gigabytes, kMostCacheGigabytes);
  }
  FATHOM_CHECK(kernel_set(options));
  FATHOM_CHECK(cache_format(options));
  return {};
}

Result<KernelSet> kernel_set(const ModelOptions& options) {
  if (options.kernels == "auto") return KernelSet::kAuto;
  if (options.kernels == "reference") return KernelSet::kReference;
  return usage_error("--kernels is \"{}\"; it must be auto or reference.", options.kernels);
}

Result<CacheFormat> cache_format(const ModelOptions& options) {
  if (options.kv_cache == "auto") return CacheFormat::kAuto;
  if (options.kv_cache == "f16") return CacheFormat::kF16;
  if (options.kv_cache == "bf16") return CacheFormat::kBF16;
  if (options.kv_cache == "int8") return CacheFormat::kInt8;
  return usage_error("--kv-cache is \"{}\"; it must be auto, f16, bf16 or int8.", options.kv_cache);
}

Result<Model> load_model(const ModelOptions& options) {
  FATHOM_CHECK(validate(options));
  LoadOptions load;
  load.threads = options.threads;
  load.pin_threads = options.pin;
  load.numa = !options.no_numa;
  load.mtp = options.mtp;
  load.adapter = options.adapter;
  FATHOM_TRY(load.kernels, kernel_set(options));
  FATHOM_TRY(load.cache_format, cache_format(options));
  if (!options.chat_template.empty()) {
    FATHOM_TRY(load.chat_template, read_input_file(options.chat_template));
    if (load.chat_template.empty()) {
      return fail("{} is empty: it is no chat template.", options.chat_template);
    }
  }
  FATHOM_TRY(const auto path, find_model(options));
  WorkProgress progress("Loading the model");
  load.on_progress = [&progress](double fraction) { progress.show(fraction); };
  load.on_note = [](std::string_view text) { note(fmt::format("fathom: {}\n", text)); };
  if (const auto cache = hub::ModelCache::of_user(); cache && !options.no_packed_cache) {
    load.packed_cache = cache->packed().string();
    load.packed_cache_bytes = static_cast<int64_t>(options.packed_cache_gigabytes * 1e9);
  }
  auto model = Model::load(path.string(), load);
  if (model && options.no_calibration) forget_calibration(*model);
  return model;
}

}  // namespace fathom::cli

// The flags that say which model to use and how to compute: shared by every command.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "fathom/fathom.h"

namespace CLI {
class App;
}

namespace fathom::cli {

struct ModelOptions {
  std::string model;              // as given; empty: the default model
  std::string kernels = "auto";   // or "reference"
  std::string kv_cache = "auto";  // or "f16", "bf16", "int8"
  int threads = 0;                // 0: one for each core
  bool pin = false;               // threads to processors
  bool no_numa = false;           // memory lies where it is first touched
  int64_t context = 0;            // 0: the model's own
  std::string adapter;            // a directory with a LoRA adapter; empty: none
  bool mtp = false;               // also load the layer for multi-token prediction
  std::string chat_template;      // a file, in place of the model's own; empty: the model's
  bool no_calibration = false;    // logits as the weights say, not over the stored temperature
  bool no_packed_cache = false;
  double packed_cache_gigabytes = static_cast<double>(kDefaultPackedCacheBytes) / 1e9;
};

void add_model_option(CLI::App& command, ModelOptions& options);
void add_compute_options(CLI::App& command, ModelOptions& options);
// For commands that keep keys and values.
void add_kv_cache_option(CLI::App& command, ModelOptions& options);
void add_template_option(CLI::App& command, ModelOptions& options);
// For commands that compute with load_model()'s logits.
void add_calibration_option(CLI::App& command, ModelOptions& options);
void add_adapter_option(CLI::App& command, ModelOptions& options);
void add_context_option(CLI::App& command, ModelOptions& options);
// For commands that load the model by load_model().
void add_packed_cache_options(CLI::App& command, ModelOptions& options);

// For commands that also take the model as their first argument: it may be given once.
Status take_positional_model(ModelOptions& options, const std::string& positional);

// A GGUF file or a checkpoint directory, from a path or a name in the cache.
Result<std::filesystem::path> find_model(const ModelOptions& options);

// Fails (kUsage) where a number makes no sense.
Status validate(const ModelOptions& options);

Result<KernelSet> kernel_set(const ModelOptions& options);
Result<CacheFormat> cache_format(const ModelOptions& options);

// Finds and loads the model; on a terminal, shows progress when it takes more than a second.
Result<Model> load_model(const ModelOptions& options);

}  // namespace fathom::cli

#include "cli/eval_results.h"

#include <CLI/CLI.hpp>

#include "base/fingerprint.h"
#include "base/mapped_file.h"
#include "checkpoint/describe.h"
#include "checkpoint/identity.h"
#include "cli/terminal.h"
#include "engine/engine.h"

namespace fathom::cli {

void add_results_options(CLI::App& command, ResultsOptions& options) {
  command
      .add_option("--results", options.file,
                  "the SQLite file that results are kept in; "
                  "~/.local/share/fathom/evaluations.db if left out")
      ->type_name("FILE");
  command.add_flag("--no-results", options.off, "keep no results");
}

Result<std::optional<EvaluationResults>> open_results(const ResultsOptions& options) {
  if (options.off) {
    if (options.file.empty()) return std::nullopt;
    return usage_error("--results and --no-results contradict each other.");
  }
  const auto open = [&]() -> Result<EvaluationResults> {
    if (!options.file.empty()) return EvaluationResults::open(options.file);
    FATHOM_TRY(const auto path, EvaluationResults::default_path());
    return EvaluationResults::open(path);
  };
  auto results = open();
  if (results) return std::optional(*std::move(results));
  if (!options.file.empty()) return std::unexpected(results.error());
  note(fmt::format("fathom: Results are not kept. {}\n", results.error().message));
  return std::nullopt;
}

namespace {

Result<uint64_t> fingerprint_of(const std::filesystem::path& adapter) {
  Fingerprint print;
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    FATHOM_TRY(const MappedFile file, MappedFile::open(adapter / name));
    print.add(file.bytes());
  }
  return print.value();
}

std::string last_name(const std::filesystem::path& path) {
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

Result<EvaluationKey> key_of(const Model& model, const std::string& adapter) {
  const Checkpoint& checkpoint = *model.impl()->engine->checkpoint;
  EvaluationKey key;
  key.model = model.info().name.empty() ? checkpoint.path().stem().string() : model.info().name;
  if (const auto identity = identify(checkpoint)) {
    key.identity = fmt::format("{:016x}", identity->content);
  }
  key.precision = describe(checkpoint).quantization;
  if (!adapter.empty()) {
    FATHOM_TRY(const uint64_t print, fingerprint_of(adapter));
    key.model += fmt::format(":{}", last_name(adapter));
    key.identity += fmt::format("+{:016x}", print);
  }
  return key;
}

Status keep_result(const ResultsOptions& options, const EvaluationKey& key, int64_t questions,
                   const std::vector<StoredMetric>& metrics) {
  FATHOM_TRY(auto results, open_results(options));
  if (!results) return {};
  FATHOM_TRY(const int64_t run, results->begin(key));
  return results->finish(run, questions, metrics);
}

}  // namespace fathom::cli

// What the commands of fathom eval have in common: where their results are kept.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "fathom/fathom.h"
#include "storage/results.h"

namespace CLI {
class App;
}

namespace fathom::cli {

struct ResultsOptions {
  std::string file;  // empty: the default one
  bool off = false;
};
void add_results_options(CLI::App& command, ResultsOptions& options);

// Nothing with --no-results, and, after a note, where there is no place for the default file.
Result<std::optional<EvaluationResults>> open_results(const ResultsOptions& options);

// Of a model that was loaded here, with an adapter or without (empty), which makes it another one:
// MODEL:ADAPTER, as for a server's clients. The caller adds task and settings.
Result<EvaluationKey> key_of(const Model& model, const std::string& adapter);

// A run that needs no going on: begun, filled and ended at once.
Status keep_result(const ResultsOptions& options, const EvaluationKey& key, int64_t questions,
                   const std::vector<StoredMetric>& metrics);

}  // namespace fathom::cli

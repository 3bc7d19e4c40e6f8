// What evaluations have measured, kept in SQLite: which model, at which precision, on which task,
// question by question, and the metrics at the end. A run that was interrupted goes on where it
// stopped; whoever chooses between models asks for what was measured of each.
//
// Every call is a transaction of its own; several processes may use one file. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/database.h"

namespace fathom {

// What makes two runs the same: only a run with the same key is gone on with.
struct EvaluationKey {
  std::string model = {};      // its name, as the checkpoint says, or as the server calls it
  std::string identity = {};   // tells this checkpoint from others of that name; a server's URL
  std::string precision = {};  // "Q4_K + Q6_K", as fathom inspect says; empty where it is not known
  std::string task = {};       // "boolq", or a text's: "perplexity"
  std::string settings = {};   // all else that the numbers depend on: questions, shots, context
};

struct StoredMetric {
  std::string name;  // "acc", "f1", "perplexity", "kl"
  double value = 0;
  std::optional<double> low = {};  // of an interval of 95%
  std::optional<double> high = {};
};

// A question's outcome, in whatever text its task understands again.
struct StoredAnswer {
  int64_t question = 0;  // place in the task
  std::string outcome;
};

// Of a run that has ended.
struct MeasuredEvaluation {
  int64_t run = 0;
  EvaluationKey key;
  double finished = 0;    // seconds since 1970
  int64_t questions = 0;  // or tokens of a text
  std::vector<StoredMetric> metrics;
};

class EvaluationResults {
 public:
  // Makes the file and its folder where they are missing.
  static Result<EvaluationResults> open(const std::filesystem::path& path);
  // $XDG_DATA_HOME/fathom/evaluations.db, or ~/.local/share/fathom/evaluations.db.
  static Result<std::filesystem::path> default_path();

  // The number of a run with this key: of the last one if it has not ended, else of a new one.
  Result<int64_t> begin(const EvaluationKey& key);
  Status add(int64_t run, const std::vector<StoredAnswer>& answers);
  // By question.
  Result<std::vector<StoredAnswer>> answers(int64_t run);
  Status finish(int64_t run, int64_t questions, const std::vector<StoredMetric>& metrics);

  // The last ended run of each key, latest first; of the model of that name at that precision,
  // where these are given. Names and precisions are compared whole, without regard to case.
  Result<std::vector<MeasuredEvaluation>> measured(
      const std::optional<std::string>& model = {},
      const std::optional<std::string>& precision = {});
  Result<MeasuredEvaluation> run(int64_t number);

 private:
  explicit EvaluationResults(Database database) : database_(std::move(database)) {}
  Result<std::vector<StoredMetric>> metrics(int64_t run);

  Database database_;
};

}  // namespace fathom

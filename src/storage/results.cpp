#include "storage/results.h"

#include <chrono>
#include <utility>

namespace fathom {
namespace {

constexpr const char* kSchema = R"(
  CREATE TABLE IF NOT EXISTS evaluation_runs (
    run INTEGER PRIMARY KEY, model TEXT NOT NULL, identity TEXT NOT NULL, precision TEXT NOT NULL,
    task TEXT NOT NULL, settings TEXT NOT NULL, started REAL NOT NULL, finished REAL,
    questions INTEGER);
  CREATE INDEX IF NOT EXISTS evaluation_runs_by_model ON evaluation_runs (model, precision);
  CREATE TABLE IF NOT EXISTS evaluation_metrics (
    run INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, low REAL, high REAL,
    PRIMARY KEY (run, name));
  CREATE TABLE IF NOT EXISTS evaluation_answers (
    run INTEGER NOT NULL, question INTEGER NOT NULL, outcome TEXT NOT NULL,
    PRIMARY KEY (run, question));
)";

constexpr std::string_view kRunColumns =
    "run, model, identity, precision, task, settings, finished, questions";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

MeasuredEvaluation run_of(const Statement& row) {
  return {.run = row.integer(0),
          .key = {.model = row.text(1),
                  .identity = row.text(2),
                  .precision = row.text(3),
                  .task = row.text(4),
                  .settings = row.text(5)},
          .finished = row.real(6),
          .questions = row.integer(7),
          .metrics = {}};
}

// All of `work` or nothing of it.
template <class Work>
Status transaction(Database& database, const Work& work) {
  FATHOM_CHECK(database.run("BEGIN IMMEDIATE"));
  if (const Status done = work(); !done) {
    // The first error is the one to tell of.
    static_cast<void>(database.run("ROLLBACK"));
    return done;
  }
  return database.run("COMMIT");
}

}  // namespace

Result<EvaluationResults> EvaluationResults::open(const std::filesystem::path& path) {
  FATHOM_TRY(Database database, Database::open(path));
  FATHOM_CHECK(database.run(kSchema));
  return EvaluationResults(std::move(database));
}

Result<std::filesystem::path> EvaluationResults::default_path() {
  if (const auto folder = data_folder()) return *folder / "evaluations.db";
  return fail("There is no HOME to keep results in. Name a file with --results.");
}

Result<int64_t> EvaluationResults::begin(const EvaluationKey& key) {
  int64_t run = 0;
  const auto bind = [&](Statement& statement) {
    statement.bind(1, key.model).bind(2, key.identity).bind(3, key.precision);
    statement.bind(4, key.task).bind(5, key.settings);
  };
  FATHOM_CHECK(transaction(database_, [&]() -> Status {
    FATHOM_TRY(auto found,
               Statement::prepare(database_,
                                  "SELECT run, finished FROM evaluation_runs WHERE model = ? AND "
                                  "identity = ? AND precision = ? AND task = ? AND settings = ? "
                                  "ORDER BY run DESC LIMIT 1"));
    bind(found);
    FATHOM_TRY(const bool exists, found.step());
    if (exists && found.is_null(1)) {
      run = found.integer(0);
      return {};
    }
    FATHOM_TRY(auto added,
               Statement::prepare(database_,
                                  "INSERT INTO evaluation_runs (model, identity, precision, task, "
                                  "settings, started) VALUES (?, ?, ?, ?, ?, ?) RETURNING run"));
    bind(added);
    added.bind(6, now());
    FATHOM_TRY(const bool made, added.step());
    if (made) run = added.integer(0);
    return {};
  }));
  return run;
}

Status EvaluationResults::add(int64_t run, const std::vector<StoredAnswer>& answers) {
  return transaction(database_, [&]() -> Status {
    FATHOM_TRY(auto row,
               Statement::prepare(database_,
                                  "INSERT OR REPLACE INTO evaluation_answers VALUES (?, ?, ?)"));
    for (const StoredAnswer& answer : answers) {
      row.bind(1, run).bind(2, answer.question).bind(3, answer.outcome);
      FATHOM_CHECK(row.step());
    }
    return {};
  });
}

Result<std::vector<StoredAnswer>> EvaluationResults::answers(int64_t run) {
  FATHOM_TRY(auto row, Statement::prepare(database_,
                                          "SELECT question, outcome FROM evaluation_answers "
                                          "WHERE run = ? ORDER BY question"));
  row.bind(1, run);
  std::vector<StoredAnswer> all;
  while (true) {
    FATHOM_TRY(const bool more, row.step());
    if (!more) return all;
    all.push_back({row.integer(0), row.text(1)});
  }
}

Status EvaluationResults::finish(int64_t run, int64_t questions,
                                 const std::vector<StoredMetric>& metrics) {
  return transaction(database_, [&]() -> Status {
    FATHOM_TRY(auto metric,
               Statement::prepare(database_,
                                  "INSERT OR REPLACE INTO evaluation_metrics VALUES (?, ?, ?, "
                                  "CASE WHEN ? THEN ? END, CASE WHEN ? THEN ? END)"));
    for (const StoredMetric& stored : metrics) {
      metric.bind(1, run).bind(2, stored.name).bind(3, stored.value);
      metric.bind(4, int64_t{stored.low.has_value()}).bind(5, stored.low.value_or(0));
      metric.bind(6, int64_t{stored.high.has_value()}).bind(7, stored.high.value_or(0));
      FATHOM_CHECK(metric.step());
    }
    FATHOM_TRY(auto ended, Statement::prepare(database_,
                                              "UPDATE evaluation_runs SET finished = ?, questions "
                                              "= ? WHERE run = ?"));
    ended.bind(1, now()).bind(2, questions).bind(3, run);
    FATHOM_CHECK(ended.step());
    return {};
  });
}

Result<std::vector<StoredMetric>> EvaluationResults::metrics(int64_t run) {
  FATHOM_TRY(auto row, Statement::prepare(database_,
                                          "SELECT name, value, low, high FROM evaluation_metrics "
                                          "WHERE run = ? ORDER BY rowid"));
  row.bind(1, run);
  std::vector<StoredMetric> all;
  while (true) {
    FATHOM_TRY(const bool more, row.step());
    if (!more) return all;
    StoredMetric metric{.name = row.text(0), .value = row.real(1)};
    if (!row.is_null(2)) metric.low = row.real(2);
    if (!row.is_null(3)) metric.high = row.real(3);
    all.push_back(std::move(metric));
  }
}

Result<std::vector<MeasuredEvaluation>> EvaluationResults::measured(
    const std::optional<std::string>& model, const std::optional<std::string>& precision) {
  FATHOM_TRY(auto row,
             Statement::prepare(
                 database_,
                 fmt::format("SELECT {} FROM evaluation_runs WHERE run IN (SELECT MAX(run) FROM "
                             "evaluation_runs WHERE finished IS NOT NULL GROUP BY model, "
                             "identity, precision, task, settings) AND (? OR model = ? COLLATE "
                             "NOCASE) AND (? OR precision = ? COLLATE NOCASE) "
                             "ORDER BY finished DESC, run DESC",
                             kRunColumns)));
  row.bind(1, int64_t{!model}).bind(2, model.value_or(""));
  row.bind(3, int64_t{!precision}).bind(4, precision.value_or(""));
  std::vector<MeasuredEvaluation> all;
  while (true) {
    FATHOM_TRY(const bool more, row.step());
    if (!more) break;
    all.push_back(run_of(row));
  }
  for (MeasuredEvaluation& evaluation : all) {
    FATHOM_TRY(evaluation.metrics, metrics(evaluation.run));
  }
  return all;
}

Result<MeasuredEvaluation> EvaluationResults::run(int64_t number) {
  FATHOM_TRY(
      auto row,
      Statement::prepare(database_, fmt::format("SELECT {} FROM evaluation_runs WHERE run = ? AND "
                                                "finished IS NOT NULL",
                                                kRunColumns)));
  row.bind(1, number);
  FATHOM_TRY(const bool found, row.step());
  if (!found) return fail("There is no run {} that has ended.", number);
  MeasuredEvaluation evaluation = run_of(row);
  FATHOM_TRY(evaluation.metrics, metrics(number));
  return evaluation;
}

}  // namespace fathom

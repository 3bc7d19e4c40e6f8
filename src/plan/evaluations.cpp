#include "plan/evaluations.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "storage/results.h"

namespace fathom::plan {
namespace {

// What tasks call the number that stands for all of them (0 to 1).
constexpr std::string_view kScore = "score";

std::string day(double seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(time));
}

std::string source(const MeasuredEvaluation& evaluation, std::string_view date) {
  std::string text = fmt::format("fathom eval task {}, {} questions, {}", evaluation.key.task,
                                 evaluation.questions, date);
  if (evaluation.key.precision.empty()) {
    text += ", asked of a server that does not tell its precision";
  } else {
    text += fmt::format(", at {}", evaluation.key.precision);
  }
  return text;
}

}  // namespace

Result<std::vector<MeasuredQuality>> read_evaluations(const std::filesystem::path& file) {
  std::vector<MeasuredQuality> all;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return all;
  FATHOM_TRY(auto results, EvaluationResults::open(file));
  FATHOM_TRY(const auto measured, results.measured());
  all.reserve(measured.size());
  for (const MeasuredEvaluation& evaluation : measured) {
    const auto score = std::ranges::find(evaluation.metrics, kScore, &StoredMetric::name);
    if (score == evaluation.metrics.end() || !std::isfinite(score->value)) continue;
    const std::string date = day(evaluation.finished);
    all.push_back({.model = evaluation.key.model,
                   .identity = evaluation.key.identity,
                   .finished = evaluation.finished,
                   .quality = {.score = 100 * score->value,
                               .measured = true,
                               .benchmark = evaluation.key.task,
                               .source = source(evaluation, date),
                               .date = date,
                               .precision = evaluation.key.precision}});
  }
  return all;
}

}  // namespace fathom::plan

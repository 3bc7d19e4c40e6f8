#include "plan/fit.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/json.h"
#include "base/median.h"
#include "plan/this_machine.h"

namespace fathom::plan {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kFewestSamples = 4;
constexpr int kRounds = 12;     // of weighing samples anew
constexpr int kSweeps = 4000;   // over all costs, of each round
constexpr double kHuber = 0.1;  // of an error's logarithm, beyond which a sample counts less
constexpr double kPull = 2e-5;  // towards the likely costs, of a sample's weight

double d(int64_t n) {
  return static_cast<double>(n);
}

}  // namespace

std::string BenchLine::label() const {
  if (prefill) return fmt::format("prefill {}", tokens);
  return context > 0 ? fmt::format("decode {} at {}", batch, context)
                     : fmt::format("decode {}", batch);
}

std::vector<StepWork> steps_of(const BenchLine& line, int64_t chunk) {
  if (!line.prefill) {
    // One step warms up, and the cache grows by one token a step: the middle one stands for all.
    const double context = d(line.context) + 1 + d(line.tokens) / 2;
    return {{.decode_rows = d(line.batch), .decode_context = context, .logits = d(line.batch)}};
  }
  std::vector<StepWork> steps;
  for (int64_t done = 0; done < line.tokens; done += chunk) {
    const int64_t rows = std::min(chunk, line.tokens - done);
    steps.push_back({.prompt_rows = d(rows),
                     .prompt_context = d(done),
                     .logits = done + rows == line.tokens ? 1.0 : 0.0});
  }
  return steps;
}

UnitCounts units_of(const BenchLine& line, const UnitCounter& counter, int64_t chunk) {
  UnitCounts sum{};
  for (const StepWork& step : steps_of(line, chunk)) {
    const UnitCounts units = counter.count(step).units;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += units[i];
  }
  return sum;
}

double measured_seconds(const BenchLine& line) {
  return (line.prefill ? d(line.tokens) : d(line.batch)) / line.tokens_per_second;
}

// Coordinate descent on the normal equations: with two dozen costs it takes milliseconds.
Result<StepCosts> fit_costs(const std::vector<FitSample>& samples, const StepCosts& likely) {
  if (samples.size() < kFewestSamples) {
    return fail("{} measured steps are too few to fit costs to; it takes at least {}.",
                samples.size(), kFewestSamples);
  }
  constexpr size_t kUnits = Unit::kCount;
  // Shares of a sample's time at the likely costs; what is sought is a factor for each cost.
  std::vector<UnitCounts> shares(samples.size());
  for (size_t s = 0; s < samples.size(); ++s) {
    if (!(samples[s].seconds > 0)) return fail("A measured step took {} s.", samples[s].seconds);
    for (size_t i = 0; i < kUnits; ++i) {
      shares[s][i] = samples[s].units[i] * likely.seconds[i] / samples[s].seconds;
    }
  }
  UnitCounts factor;
  factor.fill(1);
  std::vector<double> weight(samples.size(), 1.0);
  for (int round = 0; round < kRounds; ++round) {
    std::array<UnitCounts, kUnits> gram{};
    UnitCounts target{};
    for (size_t s = 0; s < samples.size(); ++s) {
      for (size_t i = 0; i < kUnits; ++i) {
        target[i] += weight[s] * shares[s][i];
        for (size_t j = 0; j < kUnits; ++j) gram[i][j] += weight[s] * shares[s][i] * shares[s][j];
      }
    }
    for (size_t i = 0; i < kUnits; ++i) {
      gram[i][i] += kPull;
      target[i] += kPull;
    }
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (size_t i = 0; i < kUnits; ++i) {
        double rest = target[i];
        for (size_t j = 0; j < kUnits; ++j) rest -= j == i ? 0 : gram[i][j] * factor[j];
        factor[i] = std::max(0.0, rest / gram[i][i]);
      }
    }
    for (size_t s = 0; s < samples.size(); ++s) {
      double predicted = 0;
      for (size_t i = 0; i < kUnits; ++i) predicted += shares[s][i] * factor[i];
      // Half and twice the measured time are equally wrong: errors count by their logarithm.
      const double error = std::log(std::max(predicted, 1e-6));
      const double off = predicted - 1;
      const double by_logarithm = std::abs(off) > 1e-9 ? error * error / (off * off) : 1.0;
      weight[s] = by_logarithm / std::max(1.0, std::abs(error) / kHuber);
    }
  }
  StepCosts costs = likely;
  for (size_t i = 0; i < kUnits; ++i) costs.seconds[i] *= factor[i];
  return costs;
}

namespace {

Result<double> number(const Json& object, const char* key, std::string_view file) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number() || !(found->get<double>() >= 0)) {
    return fail("{}: a result of fathom bench should have a number \"{}\" of at least 0.", file,
                key);
  }
  return found->get<double>();
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<BenchLine> parse_line(const Json& result, std::string_view file) {
  const std::string phase = result.is_object() ? text_of(result, "phase") : "";
  if (phase != "prefill" && phase != "decode") {
    return fail("{}: a result should have the phase \"prefill\" or \"decode\".", file);
  }
  FATHOM_TRY(const double tokens, number(result, "tokens", file));
  FATHOM_TRY(const double batch, number(result, "batch", file));
  FATHOM_TRY(const double context, number(result, "context", file));
  FATHOM_TRY(const double speed, number(result, "tokens_per_second", file));
  if (!(speed > 0) || tokens < 1 || batch < 1 || tokens > 1e9 || batch > 1e9 || context > 1e9) {
    return fail("{}: {} tokens, batch {}, context {} at {} tokens/s cannot have been measured.",
                file, tokens, batch, context, speed);
  }
  return BenchLine{.prefill = phase == "prefill",
                   .tokens = static_cast<int64_t>(tokens),
                   .batch = static_cast<int64_t>(batch),
                   .context = static_cast<int64_t>(context),
                   .tokens_per_second = speed};
}

Result<BenchRun> parse_run(const Json& json, std::string_view file) {
  const bool whole = json.is_object() && json.contains("machine") && json["machine"].is_object() &&
                     json.contains("model") && json["model"].is_object() &&
                     json.contains("results") && json["results"].is_array();
  if (!whole) {
    return fail(
        "{} should hold what `fathom bench --json` prints: an object with \"machine\", \"model\" "
        "and "
        "\"results\", or a list of such objects.",
        file);
  }
  BenchRun run;
  run.model = text_of(json["model"], "path");
  run.shape = text_of(json["model"], "shape");
  if (run.model.empty() == run.shape.empty()) {
    return fail(
        "{}: the model of a run should have a \"path\" or a \"shape\", which tells its tensors.",
        file);
  }
  run.kernels = text_of(json["machine"], "kernels");
  run.cache = text_of(json["machine"], "kv_cache");
  FATHOM_TRY(const double threads, number(json["machine"], "threads", file));
  run.threads = static_cast<int>(threads);
  run.lines.reserve(json["results"].size());
  for (const Json& result : json["results"]) {
    FATHOM_TRY(BenchLine line, parse_line(result, file));
    run.lines.push_back(line);
  }
  return run;
}

Json identity(const ThisMachine& machine) {
  return {{"cpu", machine.cpu},
          {"kernels", machine.kernels},
          {"threads", machine.threads},
          {"version", FATHOM_VERSION}};
}

}  // namespace

Result<std::vector<BenchRun>> parse_bench_runs(std::string_view text, std::string_view file) {
  FATHOM_TRY(const Json json, parse_ordered_json(text, file));
  std::vector<BenchRun> runs;
  if (!json.is_array()) {
    FATHOM_TRY(BenchRun run, parse_run(json, file));
    runs.push_back(std::move(run));
    return runs;
  }
  runs.reserve(json.size());
  for (const Json& each : json) {
    FATHOM_TRY(BenchRun run, parse_run(each, file));
    runs.push_back(std::move(run));
  }
  return runs;
}

std::vector<BenchRun> merge_runs(const std::vector<BenchRun>& runs) {
  const auto of_model = [](const BenchRun& run) {
    return std::tie(run.model, run.shape, run.kernels, run.threads, run.cache);
  };
  const auto measured = [](const BenchLine& line) {
    return std::tie(line.prefill, line.tokens, line.batch, line.context);
  };
  std::vector<BenchRun> merged;
  std::vector<std::vector<std::vector<double>>> speeds;  // of each line of each merged run
  for (const BenchRun& run : runs) {
    const auto known = std::ranges::find(merged, of_model(run), of_model);
    const auto place = static_cast<size_t>(known - merged.begin());
    if (known == merged.end()) {
      merged.push_back(run);
      merged.back().lines.clear();
      speeds.emplace_back();
    }
    std::vector<BenchLine>& lines = merged[place].lines;
    for (const BenchLine& line : run.lines) {
      const auto same = std::ranges::find(lines, measured(line), measured);
      const auto at = static_cast<size_t>(same - lines.begin());
      if (same == lines.end()) {
        lines.push_back(line);
        speeds[place].emplace_back();
      }
      speeds[place][at].push_back(line.tokens_per_second);
    }
  }
  for (size_t r = 0; r < merged.size(); ++r) {
    for (size_t i = 0; i < merged[r].lines.size(); ++i) {
      merged[r].lines[i].tokens_per_second = median(speeds[r][i]);
    }
  }
  return merged;
}

std::optional<KeptFit> read_fit(const std::filesystem::path& file, const ThisMachine& machine) {
  std::ifstream in(file);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto json = parse_ordered_json(text, file.string());
  if (!json || !json->is_object() || json->value("machine", Json()) != identity(machine)) {
    return std::nullopt;
  }
  const auto seconds = json->find("seconds");
  if (seconds == json->end() || !seconds->is_array() || seconds->size() != Unit::kCount) {
    return std::nullopt;
  }
  KeptFit kept;
  const auto take = [](const Json& value, double& into) {
    if (!value.is_number() || !(value.get<double>() >= 0)) return false;
    into = value.get<double>();
    return true;
  };
  for (size_t i = 0; i < Unit::kCount; ++i) {
    if (!take((*seconds)[i], kept.costs.seconds[i])) return std::nullopt;
  }
  if (!take(json->value("serve_step_seconds", Json()), kept.costs.serve_step_seconds) ||
      !take(json->value("serve_logit_seconds", Json()), kept.costs.serve_logit_seconds) ||
      !take(json->value("serve_token_seconds", Json()), kept.costs.serve_token_seconds) ||
      !take(json->value("serve_request_seconds", Json()), kept.costs.serve_request_seconds) ||
      !take(json->value("program_bytes", Json()), kept.costs.program_bytes)) {
    return std::nullopt;
  }
  kept.date = text_of(*json, "date");
  return kept;
}

Status write_fit(const std::filesystem::path& file, const ThisMachine& machine,
                 const StepCosts& costs) {
  const Json json = {{"machine", identity(machine)},
                     {"date", today()},
                     {"serve_step_seconds", costs.serve_step_seconds},
                     {"serve_logit_seconds", costs.serve_logit_seconds},
                     {"serve_token_seconds", costs.serve_token_seconds},
                     {"serve_request_seconds", costs.serve_request_seconds},
                     {"program_bytes", costs.program_bytes},
                     {"seconds", costs.seconds}};
  return write_measurements(file, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace fathom::plan

#include "cli/plan_fit.h"

#include <algorithm>

#include "checkpoint/random_checkpoint.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/serve_costs.h"
#include "cli/speed_test.h"
#include "cli/terminal.h"
#include "hub/model_cache.h"

namespace fathom::cli {
namespace {

constexpr int kRepeats = 3;
constexpr int64_t kChunk = 512;  // rows of a prompt in one step of fathom bench
// Made where nobody names files: a dense and a sparse model, if they fit.
constexpr const char* kShapes[] = {"distill-1.5b", "v2-lite-16b"};

// A model with its runs, taken apart.
struct Observed {
  std::string name;
  plan::UnitCounter counter;
  std::vector<plan::BenchLine> lines;
};

Result<CacheType> cache_type_of(const std::string& text) {
  for (const CacheType type :
       {CacheType::kF32, CacheType::kF16, CacheType::kBF16, CacheType::kInt8}) {
    if (text == name(type)) return type;
  }
  return fail("A run of fathom bench names no KV cache that there is: \"{}\".", text);
}

Result<Observed> observe(const plan::BenchRun& run, const plan::ThisMachine& machine) {
  if (run.kernels != machine.kernels || run.threads != machine.threads) {
    return fail(
        "A run of fathom bench was made with {} kernels and {} threads; this machine's ceilings "
        "are those "
        "of {} and {}. Run it anew here.",
        run.kernels, run.threads, machine.kernels, machine.threads);
  }
  std::unique_ptr<Checkpoint> checkpoint;
  if (run.shape.empty()) {
    FATHOM_TRY(checkpoint, Checkpoint::open(run.model));
  } else {
    FATHOM_TRY(checkpoint, make_random_checkpoint(run.shape));
  }
  FATHOM_TRY(const plan::ModelFacts facts, plan::facts_of(*checkpoint));
  FATHOM_TRY(const CacheType cache, cache_type_of(run.cache));
  return Observed{.name = run.shape.empty() ? facts.title : run.shape,
                  .counter = plan::UnitCounter(facts, cache),
                  .lines = run.lines};
}

Result<std::vector<Observed>> observe_files(const std::vector<std::string>& files,
                                            const plan::ThisMachine& machine) {
  std::vector<plan::BenchRun> runs;
  for (const std::string& file : files) {
    FATHOM_TRY(const std::string text, read_input_file(file));
    FATHOM_TRY(auto more, plan::parse_bench_runs(text, file));
    std::ranges::move(more, std::back_inserter(runs));
  }
  const std::vector<plan::BenchRun> merged = plan::merge_runs(runs);
  std::vector<Observed> all;
  all.reserve(merged.size());
  for (const plan::BenchRun& run : merged) {
    FATHOM_TRY(Observed observed, observe(run, machine));
    all.push_back(std::move(observed));
  }
  return all;
}

Result<Observed> observe_here(const Checkpoint& checkpoint, const std::string& name) {
  const auto kernels = Kernels::make(KernelChoice::kAuto, ThreadOptions());
  FATHOM_TRY(const auto model, LanguageModel::load(checkpoint, *kernels));
  FATHOM_TRY(const plan::ModelFacts facts, plan::facts_of(checkpoint));
  Observed observed{.name = name,
                    .counter = plan::UnitCounter(facts, model->cache_layout().type),
                    .lines = usual_bench_lines(checkpoint.config().context)};
  FATHOM_CHECK(measure_lines(observed.lines, *model));
  return observed;
}

Result<std::vector<Observed>> observe_all_here(const plan::ThisMachine& machine) {
  std::vector<Observed> all;
  if (const auto path = find_model(ModelOptions{})) {
    note("fathom: measuring the default model\n");
    FATHOM_TRY(const auto checkpoint, Checkpoint::open(*path));
    FATHOM_TRY(Observed observed, observe_here(*checkpoint, "default"));
    all.push_back(std::move(observed));
  }
  for (const char* shape : kShapes) {
    FATHOM_TRY(const auto checkpoint, make_random_checkpoint(shape));
    FATHOM_TRY(const plan::ModelFacts facts, plan::facts_of(*checkpoint));
    if (facts.weight_bytes > machine.hardware.memory_bytes * 2 / 3) continue;
    note(fmt::format("fathom: measuring the shape {}\n", shape));
    FATHOM_TRY(Observed observed, observe_here(*checkpoint, shape));
    all.push_back(std::move(observed));
  }
  return all;
}

Result<plan::StepCosts> fit_to(const std::vector<Observed>& models, const Observed* without,
                               const plan::ThisMachine& machine) {
  std::vector<plan::FitSample> samples;
  for (const Observed& model : models) {
    if (&model == without) continue;
    samples.reserve(samples.size() + model.lines.size());
    for (const plan::BenchLine& line : model.lines) {
      samples.push_back({.units = plan::units_of(line, model.counter, kChunk),
                         .seconds = plan::measured_seconds(line)});
    }
  }
  return plan::fit_costs(samples, plan::likely_costs(machine.hardware.ceilings));
}

// Each model twice: by costs that know it, and by costs that know only the others.
Result<std::vector<Comparison>> compare(const std::vector<Observed>& models,
                                        const plan::StepCosts& costs,
                                        const plan::ThisMachine& machine) {
  std::vector<Comparison> rows;
  for (const Observed& model : models) {
    plan::StepCosts others;
    if (models.size() > 1) {
      FATHOM_TRY(others, fit_to(models, &model, machine));
    }
    rows.reserve(rows.size() + model.lines.size());
    for (const plan::BenchLine& line : model.lines) {
      rows.push_back({.model = model.name,
                      .what = line.label(),
                      .unit = "tokens/s",
                      .predicted = predicted_speed(line, model.counter, kChunk, costs),
                      .measured = line.tokens_per_second,
                      .held_out = models.size() > 1
                                      ? predicted_speed(line, model.counter, kChunk, others)
                                      : 0.0});
    }
  }
  return rows;
}

}  // namespace

Result<std::filesystem::path> measurements_folder() {
  FATHOM_TRY(const hub::ModelCache cache, hub::ModelCache::of_user());
  return cache.root() / "plan";
}

std::vector<plan::BenchLine> usual_bench_lines(int64_t context) {
  std::vector<plan::BenchLine> lines;
  lines.reserve(16);
  for (const int64_t tokens : {64, 256, 1024, 2048}) {
    if (tokens <= context) lines.push_back({.prefill = true, .tokens = tokens});
  }
  constexpr int64_t kSteps = 24;
  for (const int64_t batch : {1, 2, 4, 8, 16, 32, 64})
    lines.push_back({.tokens = kSteps, .batch = batch});
  for (const int64_t deep : {1024, 4096}) {
    if (deep + 1 + kSteps <= context) lines.push_back({.tokens = kSteps, .context = deep});
  }
  return lines;
}

Status measure_lines(std::vector<plan::BenchLine>& lines, LanguageModel& model) {
  SpeedTest test(model);
  for (plan::BenchLine& line : lines) {
    FATHOM_TRY(line.tokens_per_second,
               line.prefill ? test.prefill(line.tokens, kRepeats)
                            : test.decode(line.tokens, line.batch, line.context, kRepeats));
  }
  return {};
}

double predicted_speed(const plan::BenchLine& line, const plan::UnitCounter& counter, int64_t chunk,
                       const plan::StepCosts& costs) {
  const double tokens = static_cast<double>(line.prefill ? line.tokens : line.batch);
  return tokens / costs.seconds_of(plan::units_of(line, counter, chunk));
}

Result<int> fit_plan(const FitFlags& flags) {
  FATHOM_TRY(const std::filesystem::path folder, measurements_folder());
  // The program's own memory and the server's share are measured first, in a process that is still
  // small.
  FATHOM_TRY(const ServeCosts serving, measure_serve_costs());
  FATHOM_TRY(const plan::ThisMachine machine,
             plan::this_machine({.folder = folder, .measure_again = true}));
  FATHOM_TRY(const auto models,
             flags.files.empty() ? observe_all_here(machine) : observe_files(flags.files, machine));
  FATHOM_TRY(plan::StepCosts costs, fit_to(models, nullptr, machine));
  serving.apply(costs);
  FATHOM_TRY(const auto rows, compare(models, costs, machine));
  FATHOM_CHECK(plan::write_fit(folder / "fit.json", machine, costs));
  if (flags.json) {
    print(comparison_json(rows));
    return 0;
  }
  print(fmt::format("{}\n{}\n{}", machine.hardware.title,
                    comparison_table(rows, {"prefill", "decode"}), serving.text()));
  return 0;
}

}  // namespace fathom::cli

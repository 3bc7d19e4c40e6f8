// fathom bench: prefill and decode speed of a model on this machine, beside its ceilings.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>

#include "base/quote.h"
#include "checkpoint/random_adapter.h"
#include "checkpoint/random_checkpoint.h"
#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/model_options.h"
#include "cli/output_file.h"
#include "cli/speed_test.h"
#include "cli/work_progress.h"
#include "engine/engine.h"
#include "layers/lora.h"
#include "models/step_cost.h"
#include "plan/roofline.h"

namespace fathom::cli {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 24;
constexpr int64_t kLargestBatch = 4096;
constexpr int64_t kMostAdapters = 1024;
constexpr int64_t kMostRank = 4096;

// What is measured where nothing is said, as far as the model's context allows.
constexpr int64_t kDefaultPrefill[] = {64, 256, 1024, 2048};
constexpr int64_t kDefaultBatch[] = {1, 2, 4, 8, 16, 32, 64};  // from an empty context
constexpr int64_t kDefaultContext[] = {1024, 4096};            // one sequence

struct BenchOptions {
  ModelOptions model;
  std::string shape;
  int group = 0;  // of its weights; 0: 32
  std::string prefill;
  int64_t decode = 24;
  std::string batch;
  std::string context;
  int repeat = 3;
  int64_t adapters = 0;
  int64_t adapter_rank = 16;
  std::string adapter_layers = "all";
  bool json = false;
  std::string roofline;
};

struct DecodeTest {
  int64_t batch;
  int64_t context;
};

// What to measure.
struct Plan {
  std::vector<int64_t> prefill;  // prompt lengths
  int64_t steps = 0;             // of each decode
  std::vector<DecodeTest> decode;
  bool adapters = false;

  // Of each decode's cache, at its end: one step warms up, and adapters double them.
  int64_t decoded() const { return (adapters ? 2 : 1) * (1 + steps); }
};

Result<std::vector<int64_t>> parse_list(const std::string& text, std::string_view flag,
                                        int64_t least, int64_t most) {
  FATHOM_TRY(auto numbers, parse_integers(text, flag));
  for (const int64_t number : numbers) {
    if (number < least || number > most) {
      return usage_error("{} has {}; each must be {} to {}.", flag, number, least, most);
    }
  }
  return numbers;
}

// Fails where flags make no sense, before anything is loaded.
Status validate(const BenchOptions& options) {
  FATHOM_CHECK(validate(options.model));
  if (!options.shape.empty() && !options.model.model.empty()) {
    return usage_error("-m {} and --shape {} are both given; choose one.", options.model.model,
                       options.shape);
  }
  if (options.group != 0 && options.shape.empty()) {
    return usage_error("--group is for the random weights of --shape; a model has its own.");
  }
  if (options.decode < 0 || options.decode > kMostTokens) {
    return usage_error("--decode is {}; it must be 1 to {} steps, or 0 for none.", options.decode,
                       kMostTokens);
  }
  if (options.repeat < 1 || options.repeat > 1000) {
    return usage_error("--repeat is {}; it must be 1 to 1000.", options.repeat);
  }
  if (options.prefill == "0" && options.decode == 0) {
    return usage_error("--prefill 0 and --decode 0 leave nothing to measure.");
  }
  if (options.adapters < 0 || options.adapters > kMostAdapters) {
    return usage_error("--adapters is {}; it must be 1 to {}, or 0 for none.", options.adapters,
                       kMostAdapters);
  }
  if (options.adapter_rank < 1 || options.adapter_rank > kMostRank) {
    return usage_error("--adapter-rank is {}; it must be 1 to {}.", options.adapter_rank,
                       kMostRank);
  }
  if (options.adapter_layers != "all" && options.adapter_layers != "attention") {
    return usage_error("--adapter-layers is {}; it must be all or attention.",
                       in_quotes(options.adapter_layers));
  }
  if (options.adapters > 0 && options.decode == 0) {
    return usage_error("--adapters is measured at decode, and --decode is 0.");
  }
  return {};
}

Result<std::vector<DecodeTest>> plan_decode(const BenchOptions& options, int64_t context_size) {
  std::vector<DecodeTest> tests;
  if (options.batch.empty() && options.context.empty()) {
    for (const int64_t batch : kDefaultBatch) tests.push_back({batch, 0});
    for (const int64_t context : kDefaultContext) {
      if (context + 1 + options.decode <= context_size) tests.push_back({1, context});
    }
    return tests;
  }
  const std::string batch_text = options.batch.empty() ? "1" : options.batch;
  const std::string context_text = options.context.empty() ? "0" : options.context;
  FATHOM_TRY(const auto batches, parse_list(batch_text, "--batch", 1, kLargestBatch));
  FATHOM_TRY(const auto contexts, parse_list(context_text, "--context", 0, kMostTokens));
  for (const int64_t context : contexts) {
    for (const int64_t batch : batches) tests.push_back({batch, context});
  }
  return tests;
}

Result<Plan> make_plan(const BenchOptions& options, int64_t context_size) {
  Plan plan;
  if (options.prefill.empty()) {
    std::ranges::copy_if(kDefaultPrefill, std::back_inserter(plan.prefill),
                         [&](int64_t tokens) { return tokens <= context_size; });
  } else if (options.prefill != "0") {
    FATHOM_TRY(plan.prefill, parse_list(options.prefill, "--prefill", 1, kMostTokens));
  }
  plan.steps = options.decode;
  plan.adapters = options.adapters > 0;
  FATHOM_TRY(plan.decode, plan_decode(options, context_size));
  if (plan.steps == 0) plan.decode.clear();
  return plan;
}

Status check_fits(const Plan& plan, int64_t context_size) {
  int64_t longest = 0;
  for (const int64_t tokens : plan.prefill) longest = std::max(longest, tokens);
  for (const DecodeTest& test : plan.decode) {
    longest = std::max(longest, test.context + plan.decoded());
  }
  if (longest <= context_size) return {};
  return usage_error(
      "This needs {} tokens of context and the model has {}. Choose smaller "
      "--prefill, --decode or --context.",
      longest, context_size);
}

Result<std::unique_ptr<Checkpoint>> open_checkpoint(const BenchOptions& options) {
  if (!options.shape.empty()) {
    return make_random_checkpoint(options.shape, options.group == 0 ? 32 : options.group);
  }
  FATHOM_TRY(const auto path, find_model(options.model));
  return Checkpoint::open(path);
}

using Adapters = std::vector<std::shared_ptr<const LoraWeights>>;

Result<Adapters> make_adapters(const BenchOptions& options, const Checkpoint& checkpoint,
                               const LanguageModel& model, Kernels& kernels) {
  std::vector<std::string> modules;
  std::ranges::copy_if(
      model.lora_sites(), std::back_inserter(modules), [&](const std::string& site) {
        return options.adapter_layers == "all" || site.find(".self_attn.") != std::string::npos;
      });
  Adapters adapters;
  adapters.reserve(static_cast<size_t>(options.adapters));
  for (int64_t i = 0; i < options.adapters; ++i) {
    const LoraAdapter adapter = random_lora_adapter(checkpoint, modules, options.adapter_rank,
                                                    static_cast<uint32_t>(i + 1));
    FATHOM_TRY(auto made,
               LoraWeights::make(adapter, checkpoint.config(), model.lora_sites(), kernels));
    adapters.push_back(std::move(made));
  }
  return adapters;
}

// Measures what the plan says and tells the report.
Status run_tests(const Plan& plan, const BenchOptions& options, LanguageModel& model,
                 const Adapters& adapters, const StepCostModel& costs, BenchReport& report) {
  SpeedTest test(model);
  for (const int64_t tokens : plan.prefill) {
    FATHOM_TRY(const double speed, test.prefill(tokens, options.repeat));
    report.add({.phase = "prefill",
                .tokens = tokens,
                .tokens_per_second = speed,
                .cost = costs.of({.tokens = tokens}),
                .tokens_per_step = tokens});
  }
  for (const auto& [batch, context] : plan.decode) {
    // One step warms up; then the cache grows by one token a step.
    const double middle =
        static_cast<double>(context) + static_cast<double>(plan.decoded() + 1) / 2;
    BenchResult result{.phase = "decode",
                       .tokens = plan.steps,
                       .batch = batch,
                       .context = context,
                       .cost = costs.of({.sequences = batch, .context = middle}),
                       .tokens_per_step = batch,
                       .adapters = options.adapters,
                       .adapter_rank = options.adapter_rank};
    if (adapters.empty()) {
      FATHOM_TRY(result.tokens_per_second, test.decode(plan.steps, batch, context, options.repeat));
    } else {
      FATHOM_TRY(const auto speeds, test.decode_adapted(plan.steps, batch, context, adapters));
      result.tokens_per_second = speeds.without;
      result.adapted_tokens_per_second = speeds.with;
    }
    report.add(result);
  }
  return {};
}

Status write_roofline(const std::string& path, const BenchReport& report,
                      const MachineLimits& limits, const std::string& model_name) {
  std::vector<plan::RooflinePoint> points;
  for (const BenchResult& result : report.results()) {
    const double ops = result.cost.int8_ops + result.cost.float_ops;
    const bool prefill = result.phase == "prefill";
    points.push_back(
        {.label = prefill ? fmt::format("prefill {}", result.tokens)
                          : fmt::format("decode {}{}", result.batch,
                                        result.context > 0 ? fmt::format(" at {}", result.context)
                                                           : std::string()),
         .prefill = prefill,
         .ops_per_byte = ops / result.cost.bytes,
         .ops_per_second =
             ops * result.tokens_per_second / static_cast<double>(result.tokens_per_step)});
  }
  return write_output_file(
      path,
      plan::draw_roofline(fmt::format("{} on {}", model_name, report.title()), limits, points));
}

Result<int> bench(const BenchOptions& options) {
  FATHOM_CHECK(validate(options));
  FATHOM_TRY(const KernelSet set, kernel_set(options.model));
  FATHOM_TRY(const auto checkpoint, open_checkpoint(options));
  const int64_t context_size = checkpoint->config().context;
  FATHOM_TRY(const Plan plan, make_plan(options, context_size));
  FATHOM_CHECK(check_fits(plan, context_size));
  ThreadOptions threads(options.model.threads);
  threads.pin = options.model.pin;
  threads.numa = !options.model.no_numa;
  const auto kernels = Kernels::make(
      set == KernelSet::kReference ? KernelChoice::kReference : KernelChoice::kAuto, threads);
  ModelLoadOptions load;
  FATHOM_TRY(const CacheFormat format, cache_format(options.model));
  load.cache_type = cache_type(format);
  for (const DecodeTest& test : plan.decode) {
    load.max_batch_tokens = std::max(load.max_batch_tokens, test.batch);
  }
  std::unique_ptr<LanguageModel> model;
  {
    WorkProgress progress("Loading the model");
    load.on_progress = [&progress](double fraction) { progress.show(fraction); };
    FATHOM_TRY(model, LanguageModel::load(*checkpoint, *kernels, load));
  }

  const MachineLimits limits = measure_machine_limits(kernels->threads());
  if (!options.roofline.empty() && limits.int8_ops_per_second <= 0) {
    return fail("--roofline needs kernels for this processor, and it has only the reference ones.");
  }
  FATHOM_TRY(const Adapters adapters, make_adapters(options, *checkpoint, *model, *kernels));
  BenchReport report(options.json, *model, *kernels, limits, checkpoint->path().string(),
                     options.shape);
  const StepCostModel costs(*checkpoint, model->cache_layout());
  FATHOM_CHECK(run_tests(plan, options, *model, adapters, costs, report));
  report.end();
  if (!options.roofline.empty()) {
    FATHOM_CHECK(write_roofline(options.roofline, report, limits, model->config().model_name));
  }
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("bench", "measure prefill and decode speed");
  auto options = std::make_shared<BenchOptions>();
  add_model_option(*command, options->model);
  command
      ->add_option("--shape", options->shape,
                   "instead of a model: random 4-bit weights in the shape of a real one, made in "
                   "memory")
      ->type_name("distill-1.5b|lite-6.7b|v2-lite-16b|v3-slice");
  command->add_option("--group", options->group, "how many of a shape's weights share a scale (32)")
      ->type_name("32|64|128");
  command
      ->add_option("--prefill", options->prefill,
                   "prompt lengths to measure (64,256,1024,2048, as far as they fit); 0: none")
      ->type_name("N,...");
  command->add_option("--decode", options->decode, "decode steps to measure (24); 0: none")
      ->type_name("N");
  command
      ->add_option("--batch", options->batch,
                   "how many sequences to decode at a time (1,2,4,8,16,32,64; with --context 1)")
      ->type_name("N,...");
  command
      ->add_option("--context", options->context,
                   "tokens in the cache of each sequence before decode begins (0; where --batch "
                   "is left out too, 1024 and 4096 for one sequence as well)")
      ->type_name("N,...");
  command
      ->add_option("--repeat", options->repeat,
                   "runs of each to take the median of (3; fewer once they have taken 5 seconds), "
                   "after a short one that warms up")
      ->type_name("N");
  command
      ->add_option("--adapters", options->adapters,
                   "also decode with so many random LoRA adapters among the sequences, and say "
                   "what share of the speed they take (0)")
      ->type_name("N");
  command->add_option("--adapter-rank", options->adapter_rank, "their rank (16)")->type_name("R");
  command
      ->add_option("--adapter-layers", options->adapter_layers,
                   "which layers they change: those of attention and feed-forward (all), or of "
                   "attention alone")
      ->type_name("all|attention");
  add_kv_cache_option(*command, options->model);
  add_compute_options(*command, options->model);
  command->add_flag("--json", options->json, "print one JSON object");
  command
      ->add_option("--roofline", options->roofline,
                   "also draw the results under the machine's ceilings, as SVG")
      ->type_name("FILE");
  command->footer(
      "Examples:\n"
      "  fathom bench\n"
      "  fathom bench -m model.gguf --threads 2 --prefill 128,512 --batch 1,4,16 --context 0,1024\n"
      "  fathom bench --shape v2-lite-16b --prefill 256 --batch 1,16 --json\n"
      "  fathom bench --prefill 0 --batch 16 --adapters 8 --adapter-rank 16\n"
      "  fathom bench --roofline roofline.svg");
  command->callback([&chosen, options] { chosen.action = [options] { return bench(*options); }; });
}

}  // namespace fathom::cli

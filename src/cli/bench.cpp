// fathom bench: prefill and decode speed of a model on this machine.
#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/format.h"
#include "cli/work_progress.h"
#include "cli/model_options.h"
#include "cli/speed_test.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostTokens = int64_t{1} << 24;
constexpr int64_t kLargestBatch = 4096;

struct BenchOptions {
  ModelOptions model;
  std::string prefill = "64,256";
  int64_t decode = 24;
  std::string batch = "1,16";
  std::string context = "0";
  int repeat = 3;
  bool json = false;
};

// What to measure.
struct Plan {
  std::vector<int64_t> prefill;  // prompt lengths; empty: none
  int64_t decode = 0;            // steps; 0: none
  std::vector<int64_t> batch;
  std::vector<int64_t> context;  // depths
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

Result<Plan> make_plan(const BenchOptions& options) {
  FATHOM_CHECK(validate(options.model));
  Plan plan;
  if (options.prefill != "0") {
    FATHOM_TRY(plan.prefill, parse_list(options.prefill, "--prefill", 1, kMostTokens));
  }
  if (options.decode < 0 || options.decode > kMostTokens) {
    return usage_error("--decode is {}; it must be 1 to {} steps, or 0 for none.", options.decode,
                       kMostTokens);
  }
  plan.decode = options.decode;
  FATHOM_TRY(plan.batch, parse_list(options.batch, "--batch", 1, kLargestBatch));
  FATHOM_TRY(plan.context, parse_list(options.context, "--context", 0, kMostTokens));
  if (options.repeat < 1 || options.repeat > 1000) {
    return usage_error("--repeat is {}; it must be 1 to 1000.", options.repeat);
  }
  if (plan.prefill.empty() && plan.decode == 0) {
    return usage_error("--prefill 0 and --decode 0 leave nothing to measure.");
  }
  return plan;
}

Status check_fits(const Plan& plan, const ModelConfig& config) {
  int64_t longest = 0;
  for (const int64_t tokens : plan.prefill) longest = std::max(longest, tokens);
  if (plan.decode > 0) {
    for (const int64_t depth : plan.context) longest = std::max(longest, depth + 1 + plan.decode);
  }
  if (longest <= config.context) return {};
  return usage_error(
      "This needs {} tokens of context and the model has {}. Choose smaller "
      "--prefill, --decode or --context.",
      longest, config.context);
}

// Empty where the system does not say.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return {};
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void begin(const LanguageModel& model, Kernels& kernels) {
    machine_ = {{"cpu", cpu_name()},
                {"cores", ThreadPool::default_threads()},
                {"threads", kernels.threads().size()},
                {"kernels", kernels.name()}};
    model_ = {{"name", model.config().model_name},
              {"architecture", model.config().architecture},
              {"weight_bytes", model.weight_bytes()}};
    if (json_) return;
    print(fmt::format("{}, {} threads, {} kernels\n\n{:<8} {:>8} {:>6} {:>8} {:>12}\n", cpu_name(),
                      kernels.threads().size(), kernels.name(), "phase", "tokens", "batch",
                      "context", "tokens/s"));
  }

  void add(std::string_view phase, int64_t tokens, int64_t batch, int64_t context, double speed) {
    results_.push_back({{"phase", phase},
                        {"tokens", tokens},
                        {"batch", batch},
                        {"context", context},
                        {"tokens_per_second", speed}});
    if (json_) return;
    print(fmt::format("{:<8} {:>8} {:>6} {:>8} {:>12.1f}\n", phase, tokens, batch, context, speed));
  }

  void end() const {
    if (!json_) return;
    const Json json = {{"machine", machine_}, {"model", model_}, {"results", results_}};
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }

 private:
  bool json_;
  Json machine_;
  Json model_;
  Json results_ = Json::array();
};

Result<int> bench(const BenchOptions& options) {
  FATHOM_TRY(const Plan plan, make_plan(options));
  FATHOM_TRY(const KernelSet set, kernel_set(options.model));
  FATHOM_TRY(const auto path, find_model(options.model));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  FATHOM_CHECK(check_fits(plan, checkpoint->config()));
  const auto kernels =
      Kernels::make(set == KernelSet::kReference ? KernelChoice::kReference : KernelChoice::kAuto,
                    options.model.threads);
  ModelLoadOptions load;
  for (const int64_t batch : plan.batch) {
    load.max_batch_tokens = std::max(load.max_batch_tokens, batch);
  }
  std::unique_ptr<LanguageModel> model;
  {
    WorkProgress progress("Loading the model");
    load.on_progress = [&progress](double fraction) { progress.show(fraction); };
    FATHOM_TRY(model, LanguageModel::load(*checkpoint, *kernels, load));
  }

  SpeedTest test(*model);
  Report report(options.json);
  report.begin(*model, *kernels);
  for (const int64_t tokens : plan.prefill) {
    FATHOM_TRY(const double speed, test.prefill(tokens, options.repeat));
    report.add("prefill", tokens, 1, 0, speed);
  }
  if (plan.decode > 0) {
    for (const int64_t depth : plan.context) {
      for (const int64_t batch : plan.batch) {
        FATHOM_TRY(const double speed, test.decode(plan.decode, batch, depth));
        report.add("decode", plan.decode, batch, depth, speed);
      }
    }
  }
  report.end();
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("bench", "measure prefill and decode speed");
  auto options = std::make_shared<BenchOptions>();
  add_model_option(*command, options->model);
  command->add_option("--prefill", options->prefill, "prompt lengths to measure (64,256); 0: none")
      ->type_name("N,...");
  command->add_option("--decode", options->decode, "decode steps to measure (24); 0: none")
      ->type_name("N");
  command->add_option("--batch", options->batch, "how many sequences to decode at a time (1,16)")
      ->type_name("N,...");
  command
      ->add_option("--context", options->context,
                   "tokens in the cache of each sequence before decode begins (0)")
      ->type_name("N,...");
  command
      ->add_option("--repeat", options->repeat,
                   "prefill runs to take the best of (3), after a short one that warms up")
      ->type_name("N");
  add_compute_options(*command, options->model);
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Examples:\n"
      "  fathom bench\n"
      "  fathom bench -m model.gguf --threads 2 --prefill 128,512 --batch 1,4,16 --context 0,1024\n"
      "  fathom bench --prefill 0 --decode 100 --json");
  command->callback([&chosen, options] { chosen.action = [options] { return bench(*options); }; });
}

}  // namespace fathom::cli

#include "cli/bench_report.h"

#include <fmt/format.h>

#include <fstream>

#include "cli/terminal.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

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

}  // namespace

BenchReport::BenchReport(bool json, const LanguageModel& model, Kernels& kernels,
                         const MachineLimits& limits, const std::string& path,
                         const std::string& shape)
    : json_(json), limits_(limits) {
  const std::string cpu = cpu_name();
  machine_ = {{"cpu", cpu},
              {"cores", ThreadPool::default_threads()},
              {"threads", kernels.threads().size()},
              {"kernels", kernels.name()},
              {"kv_cache", name(model.cache_layout().type)},
              {"read_bytes_per_second", limits.read_bytes_per_second},
              {"int8_ops_per_second", limits.int8_ops_per_second},
              {"float_ops_per_second", limits.float_ops_per_second}};
  model_ = {{"name", model.config().model_name},
            {"architecture", model.config().architecture},
            {"weight_bytes", model.weight_bytes()}};
  // What `fathom plan --fit` needs to find the model's tensors again.
  model_[shape.empty() ? "path" : "shape"] = shape.empty() ? path : shape;
  title_ = fmt::format("{}, {} threads, {} kernels", cpu, kernels.threads().size(), kernels.name());
  if (json_) return;
  print(
      fmt::format("{}\nceilings: reads {:.1f} GB/s, INT8 {:.0f} GOPS, F32 {:.0f} GFLOPS\n\n"
                  "{:<8} {:>8} {:>6} {:>8} {:>12} {:>10}\n",
                  title_, limits.read_bytes_per_second / 1e9, limits.int8_ops_per_second / 1e9,
                  limits.float_ops_per_second / 1e9, "phase", "tokens", "batch", "context",
                  "tokens/s", "of limit"));
}

double BenchReport::share_of_limit(const BenchResult& result) const {
  return result.tokens_per_second * least_seconds(result.cost, limits_) /
         static_cast<double>(result.tokens_per_step);
}

void BenchReport::add(const BenchResult& result) {
  results_.push_back(result);
  if (json_) return;
  const std::string adapted = result.adapters == 0
                                  ? ""
                                  : fmt::format("   {:.1f} with {} adapters: {:.1f}% less",
                                                result.adapted_tokens_per_second, result.adapters,
                                                100 * result.adapter_cost());
  print(fmt::format("{:<8} {:>8} {:>6} {:>8} {:>12.1f} {:>9.0f}%{}\n", result.phase, result.tokens,
                    result.batch, result.context, result.tokens_per_second,
                    100 * share_of_limit(result), adapted));
}

void BenchReport::end() const {
  if (!json_) return;
  Json results = Json::array();
  for (const BenchResult& result : results_) {
    Json row = {{"phase", result.phase},
                {"tokens", result.tokens},
                {"batch", result.batch},
                {"context", result.context},
                {"tokens_per_second", result.tokens_per_second},
                {"share_of_limit", share_of_limit(result)}};
    if (result.adapters > 0) {
      row["adapters"] = {{"count", result.adapters},
                         {"rank", result.adapter_rank},
                         {"tokens_per_second", result.adapted_tokens_per_second},
                         {"cost", result.adapter_cost()}};
    }
    results.push_back(std::move(row));
  }
  const Json json = {{"machine", machine_}, {"model", model_}, {"results", std::move(results)}};
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace fathom::cli

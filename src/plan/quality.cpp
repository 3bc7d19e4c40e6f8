#include "plan/quality.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <utility>

#include "base/nearest.h"
#include "base/quote.h"

namespace fathom::plan {
namespace {

struct Claim {
  std::string_view title;
  std::string_view benchmark;
  double score = 0;
  std::string_view source;
};

constexpr std::string_view kMmlu = "MMLU";
constexpr std::string_view kGpqa = "GPQA Diamond";
constexpr std::string_view kV2Page = "github.com/deepseek-ai/DeepSeek-V2, README (2024-05)";
constexpr std::string_view kV2PageSft =
    "github.com/deepseek-ai/DeepSeek-V2, README (2024-05), of its SFT version";
constexpr std::string_view kR1Page = "github.com/deepseek-ai/DeepSeek-R1, README (2025-01)";

// What the makers themselves published, of the model of that very name: a base model and its chat
// version have different scores. MMLU counts unless another benchmark is asked for.
constexpr std::array kClaims{
    Claim{"DeepSeek-V2-Lite", kMmlu, 58.3, kV2Page},
    Claim{"DeepSeek-V2-Lite-Chat", kMmlu, 55.7, kV2Page},
    Claim{"DeepSeek-V2", kMmlu, 78.5, kV2Page},
    Claim{"DeepSeek-V2-Chat", kMmlu, 77.8, kV2Page},
    Claim{"DeepSeek-LLM-7B-Base", kMmlu, 48.2, kV2Page},
    Claim{"DeepSeek-LLM-7B-Chat", kMmlu, 49.7, kV2PageSft},
    Claim{"DeepSeek-LLM-67B-Base", kMmlu, 71.3, kV2Page},
    Claim{"DeepSeek-LLM-67B-Chat", kMmlu, 71.1, kV2PageSft},
    Claim{"DeepSeek-V3", kMmlu, 88.5, kR1Page},
    Claim{"DeepSeek-R1", kMmlu, 90.8, kR1Page},
    Claim{"DeepSeek-V3", kGpqa, 59.1, kR1Page},
    Claim{"DeepSeek-R1", kGpqa, 71.5, kR1Page},
    Claim{"DeepSeek-V3.1", kGpqa, 74.9, "model card of DeepSeek-V3.1 (2025-08), without thinking"},
    Claim{"DeepSeek-R1-Distill-Qwen-1.5B", kGpqa, 33.8, kR1Page},
    Claim{"DeepSeek-R1-Distill-Qwen-7B", kGpqa, 49.1, kR1Page},
    Claim{"DeepSeek-R1-Distill-Qwen-14B", kGpqa, 59.1, kR1Page},
    Claim{"DeepSeek-R1-Distill-Qwen-32B", kGpqa, 62.1, kR1Page},
    Claim{"DeepSeek-R1-Distill-Llama-8B", kGpqa, 49.0, kR1Page},
    Claim{"DeepSeek-R1-Distill-Llama-70B", kGpqa, 65.2, kR1Page},
};

// "DeepSeek V2 Lite Chat" and "deepseek-v2-lite-chat" are one model.
std::string letters_and_digits(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) out += static_cast<char>(std::tolower(byte));
  }
  return out;
}

// What most bytes of the matrices are in: "q4k" of "Q4_K + Q6_K".
std::string first_precision(std::string_view text) {
  return letters_and_digits(text.substr(0, text.find('+')));
}

// How well an evaluation fits; 0: it is of another model, or at another precision.
int fit(const MeasuredQuality& evaluation, const ModelFacts& model) {
  if (!model.identity.empty() && evaluation.identity == model.identity) return 4;
  const std::string name = letters_and_digits(evaluation.model);
  if (name.empty() ||
      (name != letters_and_digits(model.title) && name != letters_and_digits(model.name))) {
    return 0;
  }
  const std::string& at = evaluation.quality.precision;
  if (letters_and_digits(at) == letters_and_digits(model.precision)) return 3;
  if (at.empty()) return 1;  // a server does not tell
  return first_precision(at) == first_precision(model.precision) ? 2 : 0;
}

}  // namespace

std::string task_of(const std::vector<MeasuredQuality>& measured,
                    const std::vector<ModelFacts>& models) {
  struct Count {
    int models = 0;
    double latest = 0;
  };
  std::map<std::string, Count> tasks;
  for (const ModelFacts& model : models) {
    std::map<std::string, double> of_model;
    for (const MeasuredQuality& evaluation : measured) {
      if (fit(evaluation, model) == 0) continue;
      double& latest = of_model[evaluation.quality.benchmark];
      latest = std::max(latest, evaluation.finished);
    }
    for (const auto& [task, latest] : of_model) {
      Count& count = tasks[task];
      ++count.models;
      count.latest = std::max(count.latest, latest);
    }
  }
  const auto best = std::ranges::max_element(tasks, [](const auto& a, const auto& b) {
    return std::pair(a.second.models, a.second.latest) <
           std::pair(b.second.models, b.second.latest);
  });
  return best == tasks.end() ? std::string() : best->first;
}

std::optional<Quality> quality_of(const ModelFacts& model,
                                  const std::vector<MeasuredQuality>& measured,
                                  std::string_view task) {
  const MeasuredQuality* best = nullptr;
  int best_fit = 0;
  for (const MeasuredQuality& evaluation : measured) {
    if (evaluation.quality.benchmark != task) continue;
    const int fits = fit(evaluation, model);
    const bool later = best != nullptr && evaluation.finished > best->finished;
    if (fits > best_fit || (fits > 0 && fits == best_fit && later)) {
      best = &evaluation;
      best_fit = fits;
    }
  }
  if (best != nullptr) return best->quality;
  const std::string title = letters_and_digits(model.title);
  const std::string_view benchmark = task == kGpqa ? kGpqa : kMmlu;
  for (const Claim& claim : kClaims) {
    if (claim.benchmark != benchmark || letters_and_digits(claim.title) != title) continue;
    return Quality{.score = claim.score,
                   .measured = false,
                   .benchmark = std::string(claim.benchmark),
                   .source = std::string(claim.source)};
  }
  return {};
}

Result<std::string> find_task(std::string_view wanted,
                              const std::vector<MeasuredQuality>& measured) {
  std::vector<std::string> tasks{std::string(kMmlu), std::string(kGpqa)};
  for (const MeasuredQuality& evaluation : measured) {
    const std::string& task = evaluation.quality.benchmark;
    if (std::ranges::find(tasks, task) == tasks.end()) tasks.push_back(task);
  }
  for (const std::string& task : tasks) {
    if (letters_and_digits(task) == letters_and_digits(wanted)) return task;
  }
  return usage_error("No model was measured by {}, and none is claimed for. The nearest is {}.",
                     in_quotes(wanted), nearest_names(wanted, tasks, 1).front());
}

}  // namespace fathom::plan

#include "plan/quality.h"

#include <array>

namespace fathom::plan {
namespace {

struct Claim {
  std::string_view title;
  double score = 0;
  std::string_view benchmark;
  std::string_view source;
};

// What the makers' own reports say of MMLU. Of models without a published MMLU nothing is said.
constexpr std::array kClaims{
    Claim{"DeepSeek-V2-Lite", 58.3, "MMLU, 5 shots", "DeepSeek-V2 report, arXiv:2405.04434"},
    Claim{"DeepSeek-V2", 78.5, "MMLU, 5 shots", "DeepSeek-V2 report, arXiv:2405.04434"},
    Claim{"DeepSeek-V3", 88.5, "MMLU", "DeepSeek-V3 report, arXiv:2412.19437"},
    Claim{"DeepSeek-R1", 90.8, "MMLU, pass@1", "DeepSeek-R1 report, arXiv:2501.12948"},
    Claim{"DeepSeek-LLM-7B", 48.2, "MMLU, 5 shots", "DeepSeek LLM report, arXiv:2401.02954"},
    Claim{"DeepSeek-LLM-67B", 71.3, "MMLU, 5 shots", "DeepSeek LLM report, arXiv:2401.02954"},
};

// "DeepSeek-LLM-7B-Chat" is claimed for by its base model, "DeepSeek-V2-Lite" not by "DeepSeek-V2".
std::string_view without_use(std::string_view title) {
  for (const std::string_view use : {"-Chat", "-Base", "-Instruct"}) {
    if (title.ends_with(use)) title.remove_suffix(use.size());
  }
  return title;
}

}  // namespace

std::optional<Quality> quality_of(const ModelFacts& model,
                                  const std::vector<MeasuredQuality>& measured) {
  for (const MeasuredQuality& evaluation : measured) {
    if ((evaluation.model == model.name || evaluation.model == model.title) &&
        (evaluation.precision.empty() || evaluation.precision == model.precision)) {
      return evaluation.quality;
    }
  }
  for (const Claim& claim : kClaims) {
    if (without_use(model.title) != claim.title) continue;
    return Quality{.score = claim.score,
                   .measured = false,
                   .benchmark = std::string(claim.benchmark),
                   .source = std::string(claim.source)};
  }
  return {};
}

}  // namespace fathom::plan

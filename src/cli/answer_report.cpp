#include "cli/answer_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"

namespace fathom::cli {
namespace {

// Nothing where there was too little to measure. Time to first token is prefill and one draw.
std::optional<double> prefill_speed(const Answer& answer) {
  const int64_t computed = answer.prompt_tokens - answer.cached_tokens;
  if (computed <= 0 || answer.time_to_first_token <= 0) return std::nullopt;
  return static_cast<double>(computed) / answer.time_to_first_token;
}

// The first token comes out of prefill.
std::optional<double> decode_speed(const Answer& answer) {
  if (answer.tokens.size() < 2 || answer.decode_seconds <= 0) return std::nullopt;
  return static_cast<double>(answer.tokens.size() - 1) / answer.decode_seconds;
}

nlohmann::ordered_json number_or_null(std::optional<double> number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json(nullptr);
}

}  // namespace

int64_t peak_memory_bytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::string json_text(const AnswerReport& report, int indent) {
  const Answer& answer = report.answer;
  const ModelInfo& model = report.model;
  nlohmann::ordered_json json = {
      {"text", answer.text},
      {"reasoning", answer.reasoning},
      {"tokens", answer.tokens},
      {"finish_reason", name(answer.finish)},
      {"prompt_tokens", answer.prompt_tokens},
      {"cached_tokens", answer.cached_tokens},
      {"answer_tokens", answer.tokens.size()},
      {"drafted_tokens", answer.drafted_tokens},
      {"accepted_tokens", answer.accepted_tokens},
      {"seed", report.seed},
      {"timings",
       {{"load_seconds", report.load_seconds},
        {"time_to_first_token", answer.time_to_first_token},
        {"decode_seconds", answer.decode_seconds}}},
      {"speeds",
       {{"prefill_tokens_per_second", number_or_null(prefill_speed(answer))},
        {"decode_tokens_per_second", number_or_null(decode_speed(answer))}}},
      {"peak_memory_bytes", peak_memory_bytes()},
      {"model",
       {{"name", model.name},
        {"architecture", model.architecture},
        {"tier", model.tier},
        {"parameters", model.parameters},
        {"active_parameters", model.active_parameters},
        {"weight_bytes", model.weight_bytes},
        {"cache_bytes_per_token", model.cache_bytes_per_token},
        {"context", report.context},
        {"kernels", model.kernels},
        {"threads", model.threads}}},
  };
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string stats_line(const Answer& answer) {
  std::string line = fmt::format("time to first token {:.2f} s, prompt {} tokens",
                                 answer.time_to_first_token, answer.prompt_tokens);
  if (answer.cached_tokens > 0) line += fmt::format(" ({} cached)", answer.cached_tokens);
  if (const auto speed = prefill_speed(answer)) line += fmt::format(" at {:.1f} tokens/s", *speed);
  line += fmt::format(", answer {} tokens", answer.tokens.size());
  if (const auto speed = decode_speed(answer)) line += fmt::format(" at {:.1f} tokens/s", *speed);
  if (answer.drafted_tokens > 0) {
    line += fmt::format(" (accepted {:.0f}% of {} drafted)",
                        100.0 * static_cast<double>(answer.accepted_tokens) /
                            static_cast<double>(answer.drafted_tokens),
                        answer.drafted_tokens);
  }
  return line + fmt::format(", peak memory {}\n", format_bytes(peak_memory_bytes()));
}

}  // namespace fathom::cli

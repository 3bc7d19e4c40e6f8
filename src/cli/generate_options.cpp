#include "cli/generate_options.h"

#include <CLI/CLI.hpp>
#include <random>

#include "cli/flag_checks.h"
#include "engine/sampler.h"
#include "engine/speculation/draft_policy.h"

namespace fathom::cli {
namespace {

bool names_draft_model(const GenerateFlags& flags) {
  return flags.speculate != "off" && flags.speculate != "lookup" && flags.speculate != "mtp";
}

Status validate_speculation(const GenerateFlags& flags) {
  if (flags.speculate.empty()) {
    return usage_error("--speculate is empty; it must be off, lookup, mtp, or a draft model.");
  }
  if (!flags.draft_tokens) return {};
  if (flags.speculate == "off") {
    return usage_error("--draft-tokens needs --speculate lookup, mtp, or a draft model.");
  }
  if (*flags.draft_tokens < 1 || *flags.draft_tokens > DraftPolicy::kMostTokens) {
    return usage_error("--draft-tokens is {}; it must be 1 to {}.", *flags.draft_tokens,
                       DraftPolicy::kMostTokens);
  }
  return {};
}

}  // namespace

void add_generate_options(CLI::App& command, GenerateFlags& flags) {
  add_model_option(command, flags.model);
  add_adapter_option(command, flags.model);
  command.add_option("--system", flags.system, "the system message")->type_name("TEXT");
  command.add_flag("--raw", flags.raw,
                   "continue the bare prompt, without the model's chat template");
  add_template_option(command, flags.model);
  add_calibration_option(command, flags.model);

  command
      .add_option("--temperature", flags.temperature,
                  "0: always the most likely token; higher: more varied")
      ->type_name("T");
  command.add_option("--top-k", flags.top_k, "draw from the K most likely tokens; 0: from all")
      ->type_name("K");
  command
      .add_option("--top-p", flags.top_p,
                  "draw from the most likely tokens that together have probability P")
      ->type_name("P");
  command
      .add_option("--min-p", flags.min_p,
                  "leave out tokens less likely than P times the most likely one")
      ->type_name("P");
  command
      .add_option("--repeat-penalty", flags.repeat_penalty,
                  "make tokens less likely that were used lately; 1: off")
      ->type_name("X");
  command
      .add_option("--presence-penalty", flags.presence_penalty,
                  "subtract X from the logit of tokens in the answer")
      ->type_name("X");
  command
      .add_option("--frequency-penalty", flags.frequency_penalty,
                  "subtract X for each time that a token is in the answer")
      ->type_name("X");
  command.add_option("--seed", flags.seed, "equal seeds give equal answers")
      ->type_name("N")
      ->check(is_seed);
  command
      .add_option("--stop", flags.stop, "end the answer before TEXT; may be given several times")
      ->type_name("TEXT")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--max-tokens", flags.max_tokens, "end the answer after N tokens")
      ->type_name("N");

  command
      .add_option("--speculate", flags.speculate,
                  "guess tokens and check several in one step, which changes speed alone: lookup: "
                  "from what was said before; mtp: by DeepSeek-V3's own layer for it; or by a "
                  "smaller model of the same vocabulary")
      ->type_name("off|lookup|mtp|MODEL");
  command
      .add_option("--draft-tokens", flags.draft_tokens,
                  "guess at most N tokens at a time; fewer where that is faster")
      ->type_name("N");

  add_context_option(command, flags.model);
  add_kv_cache_option(command, flags.model);
  add_compute_options(command, flags.model);
  add_packed_cache_options(command, flags.model);
  command.add_flag("--hide-thinking", flags.hide_thinking,
                   "do not show what a reasoning model thinks before its answer");
  command.add_flag("--json", flags.json,
                   "print one JSON object for each answer: text, tokens, timings, memory");
  command.add_flag("--stats", flags.stats, "print speed and memory to standard error afterwards");
}

Status validate(const GenerateFlags& flags) {
  FATHOM_CHECK(validate(flags.model));
  if (flags.max_tokens && *flags.max_tokens < 1) {
    return usage_error("--max-tokens is {}; it must be 1 or more.", *flags.max_tokens);
  }
  for (const auto& stop : flags.stop) {
    if (stop.empty()) return usage_error("--stop is empty, which would end every answer.");
  }
  if (flags.raw && !flags.system.empty()) {
    return usage_error("--system needs the chat template. Leave out --raw or --system.");
  }
  FATHOM_CHECK(validate_speculation(flags));
  Status sampling = fathom::validate(generate_options(flags, {}).sampling);
  if (!sampling) sampling.error().message = fmt::format("--{}.", sampling.error().message);
  return sampling;
}

GenerateOptions generate_options(const GenerateFlags& flags, const SamplingOptions& recommended) {
  GenerateOptions options;
  SamplingOptions& s = options.sampling;
  s = recommended;
  s.temperature = flags.temperature.value_or(s.temperature);
  s.top_k = flags.top_k.value_or(s.top_k);
  s.top_p = flags.top_p.value_or(s.top_p);
  s.min_p = flags.min_p.value_or(s.min_p);
  s.repeat_penalty = flags.repeat_penalty.value_or(s.repeat_penalty);
  s.presence_penalty = flags.presence_penalty.value_or(s.presence_penalty);
  s.frequency_penalty = flags.frequency_penalty.value_or(s.frequency_penalty);
  s.seed = flags.seed ? *flags.seed : std::random_device()();
  options.max_tokens = flags.max_tokens.value_or(-1);
  options.stop = flags.stop;
  return options;
}

ModelOptions model_options(const GenerateFlags& flags) {
  ModelOptions options = flags.model;
  options.mtp = flags.speculate == "mtp";
  return options;
}

Result<Speculation> speculation(const GenerateFlags& flags) {
  Speculation speculation;
  speculation.draft_tokens = flags.draft_tokens.value_or(0);
  if (flags.speculate == "lookup") {
    speculation.method = Speculation::Method::kLookup;
  } else if (flags.speculate == "mtp") {
    speculation.method = Speculation::Method::kMtp;
  } else if (names_draft_model(flags)) {
    speculation.method = Speculation::Method::kDraftModel;
    ModelOptions draft = flags.model;
    draft.model = flags.speculate;
    draft.adapter.clear();  // it is the answering model's
    FATHOM_TRY(speculation.draft, load_model(draft));
  }
  return speculation;
}

}  // namespace fathom::cli

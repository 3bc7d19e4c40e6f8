// fathom eval: what a model is worth in numbers, on a text of the user's.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "cli/command.h"
#include "cli/eval_results.h"
#include "cli/eval_task.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/remote_perplexity.h"
#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "evaluate/divergence.h"
#include "evaluate/perplexity.h"
#include "evaluate/saved_logits.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

struct EvalOptions {
  ModelOptions model;
  RemoteOptions remote;  // of perplexity; without an address: a model here
  std::string reference;
  std::string reference_kernels = "auto";
  std::string reference_logits;  // a file in place of the reference
  std::string save_logits;       // of perplexity: a file to make, or nothing
  std::string text;
  Windowing windowing;
  int64_t max_tokens = 0;  // 0: the whole text
  ResultsOptions results;
  bool json = false;
};

// What is kept of a text's measure; the text by its length and name. key: the model's.
EvaluationKey with_settings(EvaluationKey key, const EvalOptions& options, std::string_view task,
                            size_t tokens) {
  key.task = task;
  key.settings = Json({{"text", options.text},
                       {"text_tokens", tokens},
                       {"context", options.windowing.context},
                       {"stride", options.windowing.stride},
                       {"reference", options.reference_logits.empty() ? options.reference
                                                                      : options.reference_logits},
                       {"kernels", options.model.kernels},
                       {"kv_cache", options.model.kv_cache},
                       {"calibration", !options.model.no_calibration}})
                     .dump(-1, ' ', false, Json::error_handler_t::replace);
  return key;
}

// JSON has no infinities; a text the model holds impossible has one.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Result<std::string> read_text(const EvalOptions& options) {
  FATHOM_TRY(std::string text, read_input_file(options.text));
  if (text.empty()) return fail("{} is empty: there is nothing to score.", options.text);
  return text;
}

void cut(std::vector<int32_t>& tokens, int64_t most) {
  if (most > 0 && std::ssize(tokens) > most) tokens.resize(static_cast<size_t>(most));
}

// The ids of the text, at most max_tokens of them. Special tokens spelled out in it are plain text.
Result<std::vector<int32_t>> read_tokens(const Model& model, const EvalOptions& options) {
  FATHOM_TRY(const std::string text, read_text(options));
  FATHOM_TRY(auto tokens, model.tokenize(text));
  cut(tokens, options.max_tokens);
  return tokens;
}

Status validate(const EvalOptions& options) {
  FATHOM_CHECK(cli::validate(options.model));
  FATHOM_CHECK(cut_windows(0, options.windowing));
  if (options.max_tokens < 0) {
    return usage_error("--max-tokens is {}; it must be at least 2, or 0 for the whole text.",
                       options.max_tokens);
  }
  if (options.remote.url.empty() && !options.remote.api_key.empty()) {
    return usage_error("--api-key is for a server that --url names.");
  }
  if (!options.remote.url.empty() && !options.save_logits.empty()) {
    return usage_error("--save-logits is for a model here; a server does not give all logits.");
  }
  if (!options.remote.url.empty() && !options.model.adapter.empty()) {
    return usage_error(
        "--lora is for a model here; a server has adapters under names of their own.");
  }
  return {};
}

Status check_context(const Model& model, const Windowing& windowing) {
  if (windowing.context <= model.info().context) return {};
  return usage_error("--context is {} and {} was made for {} tokens.", windowing.context,
                     model.info().name, model.info().context);
}

// Runs `measure(on_read)` with a progress line, and lets Ctrl-C end it.
template <class Measure>
auto with_progress(size_t tokens, Measure measure) {
  const InterruptScope interrupt;
  WorkProgress progress("Scoring the text");
  return measure([&](int64_t read) {
    progress.show(static_cast<double>(read) / static_cast<double>(std::max<size_t>(tokens, 1)));
    return !interrupt.requested();
  });
}

// A text's perplexity, and of whom.
struct Found {
  Perplexity perplexity;
  std::vector<int32_t> tokens;
  std::string model;
  std::string computed_by;  // kernels, or a server's address
  EvaluationKey key;
};

Result<Found> find_perplexity(const EvalOptions& options) {
  FATHOM_TRY(const Model model, load_model(options.model));
  FATHOM_CHECK(check_context(model, options.windowing));
  FATHOM_TRY(auto tokens, read_tokens(model, options));
  std::optional<LogitsWriter> writer;
  OnLogits on_logits;
  if (!options.save_logits.empty()) {
    FATHOM_TRY(LogitsWriter made, LogitsWriter::create(options.save_logits, tokens,
                                                       options.windowing, model.info().vocab_size));
    writer.emplace(std::move(made));
    on_logits = [&](std::span<const float> logits) { return writer->add(logits); };
  }
  FATHOM_TRY(const Perplexity result, with_progress(tokens.size(), [&](const OnRead& on_read) {
               return measure_perplexity(model, tokens, options.windowing, on_read, on_logits);
             }));
  if (writer) FATHOM_CHECK(writer->commit());
  FATHOM_TRY(auto key, key_of(model, options.model.adapter));
  return Found{.perplexity = result,
               .tokens = std::move(tokens),
               .model = model.info().name,
               .computed_by = model.info().kernels,
               .key = std::move(key)};
}

Result<Found> find_remote_perplexity(const EvalOptions& options) {
  FATHOM_TRY(const std::string text, read_text(options));
  RemoteOptions remote = options.remote;
  remote.model = options.model.model;
  FATHOM_TRY(const auto server, RemoteServer::connect(remote));
  FATHOM_TRY(auto tokens, server->tokenize(text));
  cut(tokens, options.max_tokens);
  FATHOM_TRY(const Perplexity result, with_progress(tokens.size(), [&](const OnRead& on_read) {
               return measure_perplexity(*server, tokens, options.windowing, on_read);
             }));
  return Found{.perplexity = result,
               .tokens = std::move(tokens),
               .model = server->model(),
               .computed_by = server->url(),
               .key = {.model = server->model(), .identity = server->url()}};
}

Result<int> perplexity(const EvalOptions& options) {
  FATHOM_CHECK(validate(options));
  const bool remote = !options.remote.url.empty();
  FATHOM_TRY(const Found found,
             remote ? find_remote_perplexity(options) : find_perplexity(options));
  const Perplexity& result = found.perplexity;
  const size_t tokens = found.tokens.size();
  FATHOM_CHECK(keep_result(
      options.results, with_settings(found.key, options, "perplexity", tokens), result.tokens,
      {{.name = "perplexity", .value = result.perplexity}, {.name = "nll", .value = result.nll}}));
  if (options.json) {
    const Json json = {{"perplexity", number(result.perplexity)},
                       {"nll", number(result.nll)},
                       {"nll_standard_error", number(result.standard_error)},
                       {"tokens", result.tokens},
                       {"windows", result.windows},
                       {"text_tokens", tokens},
                       {"context", options.windowing.context},
                       {"model", found.model},
                       {remote ? "url" : "kernels", found.computed_by}};
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(
        fmt::format("perplexity  {:.4f}\nnll         {:.5f} ± {:.5f} nats a token\ntokens      {} "
                    "scored of {}, "
                    "in {} windows of {}\n",
                    result.perplexity, result.nll, result.standard_error, result.tokens, tokens,
                    result.windows, options.windowing.context));
  }
  return 0;
}

// The two models must mean the same by an id, or their distributions say nothing of each other.
Status check_same_tokens(const Model& model, const Model& reference,
                         const std::vector<int32_t>& tokens, const EvalOptions& options) {
  if (!reference.info().has_tokenizer) return {};
  FATHOM_TRY(const auto others, read_tokens(reference, options));
  if (others == tokens) return {};
  return fail("{} and {} cut the text into different tokens: they cannot be compared.",
              model.info().name, reference.info().name);
}

// What was measured, and against what.
struct Distance {
  Divergence divergence;
  size_t tokens = 0;
  std::string model;
  std::string reference;
  EvaluationKey key;
};

Result<Distance> distance_from_file(const EvalOptions& options) {
  FATHOM_TRY(const SavedLogits reference, SavedLogits::open(options.reference_logits));
  const Windowing& windowing = reference.windowing();
  if (windowing.context != options.windowing.context ||
      windowing.stride != options.windowing.stride) {
    return usage_error("{} is of windows of {} tokens: say --context {} --stride {}.",
                       options.reference_logits, windowing.context, windowing.context,
                       windowing.stride);
  }
  FATHOM_TRY(const Model model, load_model(options.model));
  FATHOM_CHECK(check_context(model, windowing));
  EvalOptions as_long = options;
  if (options.max_tokens == 0) as_long.max_tokens = std::ssize(reference.tokens());
  FATHOM_TRY(const auto tokens, read_tokens(model, as_long));
  if (tokens != reference.tokens()) {
    return fail(
        "{} is of another text than the first {} tokens of {}, or of a model that cuts it into "
        "others: they cannot be compared.",
        options.reference_logits, tokens.size(), options.text);
  }
  FATHOM_TRY(const Divergence result, with_progress(tokens.size(), [&](const OnRead& on_read) {
               return measure_divergence(model, reference, on_read);
             }));
  FATHOM_TRY(auto key, key_of(model, options.model.adapter));
  return Distance{.divergence = result,
                  .tokens = tokens.size(),
                  .model = model.info().name,
                  .reference = options.reference_logits,
                  .key = std::move(key)};
}

Result<Distance> distance_from_model(const EvalOptions& options) {
  ModelOptions reference_options = options.model;
  reference_options.adapter.clear();
  reference_options.model = options.reference;
  reference_options.kernels = options.reference_kernels;
  reference_options.kv_cache = "auto";
  FATHOM_CHECK(cli::validate(reference_options));
  FATHOM_TRY(const Model model, load_model(options.model));
  FATHOM_TRY(const Model reference, load_model(reference_options));
  FATHOM_CHECK(check_context(model, options.windowing));
  FATHOM_CHECK(check_context(reference, options.windowing));
  FATHOM_TRY(const auto tokens, read_tokens(model, options));
  FATHOM_CHECK(check_same_tokens(model, reference, tokens, options));
  FATHOM_TRY(const Divergence result, with_progress(tokens.size(), [&](const OnRead& on_read) {
               return measure_divergence(model, reference, tokens, options.windowing, on_read);
             }));
  FATHOM_TRY(auto key, key_of(model, options.model.adapter));
  return Distance{.divergence = result,
                  .tokens = tokens.size(),
                  .model = model.info().name,
                  .reference = reference.info().name,
                  .key = std::move(key)};
}

Result<int> divergence(const EvalOptions& options) {
  FATHOM_CHECK(validate(options));
  if (options.reference.empty() == options.reference_logits.empty()) {
    return usage_error("Say what to compare with: --reference or --reference-logits, one of them.");
  }
  FATHOM_TRY(const Distance distance, options.reference.empty() ? distance_from_file(options)
                                                                : distance_from_model(options));
  const Divergence& result = distance.divergence;
  FATHOM_CHECK(keep_result(
      options.results, with_settings(distance.key, options, "kl", distance.tokens), result.tokens,
      {{.name = "kl_mean", .value = result.mean},
       {.name = "top1_agreement", .value = result.top1_agreement},
       {.name = "perplexity", .value = std::exp(result.nll)}}));
  if (options.json) {
    const Json json = {{"kl_mean", number(result.mean)},
                       {"kl_standard_error", number(result.standard_error)},
                       {"kl_median", number(result.median)},
                       {"kl_p90", number(result.p90)},
                       {"kl_p99", number(result.p99)},
                       {"kl_max", number(result.largest)},
                       {"top1_agreement", result.top1_agreement},
                       {"perplexity", number(std::exp(result.nll))},
                       {"reference_perplexity", number(std::exp(result.reference_nll))},
                       {"tokens", result.tokens},
                       {"context", options.windowing.context},
                       {"model", distance.model},
                       {"reference", distance.reference}};
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(fmt::format(
        "KL(reference || model)  {:.6f} ± {:.6f} nats a token\n"
        "                        median {:.6f}, 90% {:.6f}, 99% {:.6f}, largest {:.4f}\n"
        "same most likely token  {:.2f}%\n"
        "perplexity              {:.4f}, reference {:.4f}\n"
        "tokens                  {}\n",
        result.mean, result.standard_error, result.median, result.p90, result.p99, result.largest,
        100 * result.top1_agreement, std::exp(result.nll), std::exp(result.reference_nll),
        result.tokens));
  }
  return 0;
}

void add_text_options(CLI::App& command, EvalOptions& options) {
  add_model_option(command, options.model);
  add_adapter_option(command, options.model);
  command.add_option("--text", options.text, "the text to score, UTF-8; -: standard input")
      ->type_name("FILE")
      ->required();
  command
      .add_option("--context", options.windowing.context,
                  "tokens in a window; each is predicted from those before it there (512)")
      ->type_name("N");
  command
      .add_option("--stride", options.windowing.stride,
                  "tokens from one window to the next; 0: the context, no overlap")
      ->type_name("N");
  command
      .add_option("--max-tokens", options.max_tokens,
                  "score only the text's first N tokens; 0: all")
      ->type_name("N");
  add_kv_cache_option(command, options.model);
  add_calibration_option(command, options.model);
  add_compute_options(command, options.model);
  add_packed_cache_options(command, options.model);
  add_results_options(command, options.results);
  command.add_flag("--json", options.json, "print one JSON object");
}

}  // namespace

void add_eval(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("eval", "measure a model's quality");
  command->require_subcommand(1, 1);

  auto* ppl = command->add_subcommand("ppl", "perplexity on a text");
  auto ppl_options = std::make_shared<EvalOptions>();
  add_text_options(*ppl, *ppl_options);
  add_remote_options(*ppl, ppl_options->remote);
  ppl->add_option("--save-logits", ppl_options->save_logits,
                  "also keep all logits, 2 bytes each, for eval kl --reference-logits")
      ->type_name("FILE");
  ppl->footer(
      "Examples:\n"
      "  fathom eval ppl --text book.txt\n"
      "  fathom eval ppl -m model.gguf --text book.txt --context 1024 --stride 512 --json\n"
      "  fathom eval ppl --url http://127.0.0.1:8080 -m name --text book.txt");
  ppl->callback([&chosen, ppl_options] {
    chosen.action = [ppl_options] { return perplexity(*ppl_options); };
  });

  auto* kl = command->add_subcommand("kl", "distance from a reference model's distribution");
  auto kl_options = std::make_shared<EvalOptions>();
  add_text_options(*kl, *kl_options);
  kl->add_option("--reference", kl_options->reference, "the model to compare with, as for -m")
      ->type_name("MODEL");
  kl->add_option("--reference-logits", kl_options->reference_logits,
                 "in place of --reference: what eval ppl --save-logits kept of it over this text")
      ->type_name("FILE");
  kl->add_option("--reference-kernels", kl_options->reference_kernels,
                 "kernels to compute the reference with")
      ->type_name("auto|reference");
  kl->footer(
      "Examples:\n"
      "  fathom eval kl -m small-q4.gguf --reference small-f16.gguf --text book.txt\n"
      "  fathom eval kl --reference default --reference-kernels reference --text book.txt\n"
      "  fathom eval kl -m small-q4.gguf --reference-logits f16.logits --text book.txt\n"
      "The second shows what the fast kernels cost in accuracy; the third takes a reference's "
      "logits "
      "that eval ppl --save-logits f16.logits kept.");
  kl->callback(
      [&chosen, kl_options] { chosen.action = [kl_options] { return divergence(*kl_options); }; });

  add_eval_task(*command, chosen);
  add_eval_compare(*command, chosen);
  add_eval_captions(*command, chosen);
}

}  // namespace fathom::cli

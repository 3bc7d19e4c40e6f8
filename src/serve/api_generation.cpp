// The endpoints that need the engine's batch: from a parsed request to prompts of tokens.
#include <chrono>
#include <utility>

#include "base/quote.h"
#include "engine/engine.h"
#include "serve/answer_json.h"
#include "serve/api.h"
#include "serve/probe.h"

namespace fathom::serve {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

void Api::record(LedgerEntry entry, const std::string& peer) const {
  parts_.log->info("answer", {{"id", entry.id},
                              {"peer", peer},
                              {"model", entry.model},
                              {"key", entry.key},
                              {"path", entry.endpoint},
                              {"route", entry.route},
                              {"outcome", entry.outcome},
                              {"prompt_tokens", entry.prompt_tokens},
                              {"cached_tokens", entry.cached_tokens},
                              {"completion_tokens", entry.completion_tokens},
                              {"first_token_seconds", entry.first_token_seconds},
                              {"seconds", entry.seconds}});
  if (parts_.ledger != nullptr && entry.outcome != "refused") parts_.ledger->add(std::move(entry));
}

Generation::Call Api::generation(const ApiCall& call, Job& job, const RouteTaken& route,
                                 double waited) const {
  LedgerEntry entry{.time = call.time,
                    .id = call.id,
                    .key = call.pass->key(),
                    .model = job.model->name,
                    .endpoint = call.request.path,
                    .route = route.reason};
  Generation::Call generation{.exchange = call.exchange,
                              .writer = std::move(job.writer),
                              .stream = job.stream,
                              .keep_scores = job.keep_scores,
                              .best = job.best,
                              .headers = call.headers,
                              .waited = waited,
                              .metrics = parts_.metrics};
  if (!route.reason.empty()) {
    generation.headers.emplace_back("x-fathom-model", job.model->name);
    generation.headers.emplace_back("x-fathom-route", route.explanation);
  }
  generation.on_done = [this, entry = std::move(entry), pass = call.pass,
                        peer = call.request.peer](const GenerationOutcome& outcome) mutable {
    entry.seconds = now() - entry.time;
    entry.prompt_tokens = outcome.usage.prompt_tokens;
    entry.cached_tokens = outcome.usage.cached_tokens;
    entry.completion_tokens = outcome.usage.completion_tokens;
    entry.first_token_seconds = outcome.first_token_seconds;
    entry.outcome = outcome.outcome;
    const auto cost_of = [&](const std::string& model) {
      return parts_.prices.cost(model, entry.prompt_tokens, entry.cached_tokens,
                                entry.completion_tokens);
    };
    entry.cost_usd = cost_of(entry.model);
    if (entry.route == "lite") {
      entry.saved_usd = cost_of(parts_.routing->v1->name) - entry.cost_usd;
    }
    pass->spend_tokens(entry.prompt_tokens + entry.completion_tokens);
    pass->leave();
    parts_.metrics->request_ended(entry.outcome, entry.seconds);
    record(std::move(entry), peer);
    pass.reset();
  };
  return generation;
}

void Api::start(const ApiCall& call, Job job, const RouteTaken& route, double waited) {
  Generation::Call prepared = generation(call, job, route, waited);
  for (Request& request : job.requests) request.priority = call.pass->priority();
  Generation::start(*job.model->serving, std::move(job.requests), std::move(prepared));
}

ApiStatus Api::answer(ApiCall& call, std::shared_ptr<const GenerationRequest> wanted, bool compiles,
                      MakeJob make) {
  if (!compiles) return answer_now(call, *wanted, make);
  return run_later(call, [this, wanted = std::move(wanted), make = std::move(make)](
                             ApiCall& later) { return answer_now(later, *wanted, make); });
}

ApiStatus Api::answer_now(ApiCall& call, const GenerationRequest& wanted, const MakeJob& make) {
  if (parts_.routing && wanted.model == kRoutedModel) return answer_routed(call, wanted, make);
  FATHOM_TRY(const auto model, find_model(wanted.model));
  FATHOM_TRY(Job job, make(call, *model));
  start(call, std::move(job), {});
  return {};
}

// What a routed request needs until it is answered; shared by the probe's callbacks.
struct Api::RoutedJob {
  ApiCall call;
  Job lite;
  Job v1;
};

ApiStatus Api::answer_routed(ApiCall& call, const GenerationRequest& wanted, const MakeJob& make) {
  const Routing& routing = *parts_.routing;
  FATHOM_TRY(Job v1, make(call, *routing.v1));
  FATHOM_TRY(Job lite, make(call, *routing.lite));
  if (lite.requests.size() != 1 || lite.requests.front().score_prompt) {
    return bad_request("model", "The model {} answers one prompt at a time, and scores none.",
                       in_quotes(kRoutedModel));
  }
  const route::Question question{.prompt_tokens = std::ssize(lite.requests.front().prompt),
                                 .tools = lite.tools,
                                 .request_class = wanted.request_class};
  if (const std::string rule = rule_for(routing.policy.rules, question); !rule.empty()) {
    start(call, std::move(v1), by_rule(rule));
    return {};
  }
  Request request = std::move(lite.requests.front());
  request.priority = call.pass->priority();
  request.logprobs = request.logprobs.value_or(0);
  request.entropies = true;
  const int32_t answers = request.answers;
  const auto job = std::make_shared<RoutedJob>(
      RoutedJob{.call = std::move(call), .lite = std::move(lite), .v1 = std::move(v1)});
  Probe::Call probe{.exchange = job->call.exchange,
                    .policy = routing.policy,
                    .keep = {},
                    .escalate = {},
                    .dropped = {}};
  probe.keep = [this, job, answers](RequestId id, double confidence) {
    const RouteTaken route = by_confidence(parts_.routing->policy, confidence);
    return Generation::adopt(*job->lite.model->serving, id, answers,
                             generation(job->call, job->lite, route, 0));
  };
  probe.escalate = [this, job](double confidence, bool refused) {
    const RouteTaken route =
        refused ? refused_by_lite() : by_confidence(parts_.routing->policy, confidence);
    start(job->call, std::move(job->v1), route, now() - job->call.time);
  };
  probe.dropped = [this, job](const Usage& usage) {
    LedgerEntry entry{.time = job->call.time,
                      .id = job->call.id,
                      .key = job->call.pass->key(),
                      .model = job->lite.model->name,
                      .endpoint = job->call.request.path,
                      .prompt_tokens = usage.prompt_tokens,
                      .cached_tokens = usage.cached_tokens,
                      .completion_tokens = usage.completion_tokens,
                      .seconds = now() - job->call.time,
                      .outcome = LedgerEntry::kDropped,
                      .route = LedgerEntry::kDropped};
    entry.cost_usd = parts_.prices.cost(entry.model, entry.prompt_tokens, entry.cached_tokens,
                                        entry.completion_tokens);
    entry.saved_usd = -entry.cost_usd;
    job->call.pass->spend_tokens(entry.prompt_tokens + entry.completion_tokens);
    record(std::move(entry), job->call.request.peer);
  };
  Probe::start(*routing.lite->serving, std::move(request), std::move(probe));
  return {};
}

ApiStatus Api::chat(ApiCall& call) {
  FATHOM_TRY(ChatRequest parsed, parse_chat_request(call.request.body));
  const bool compiles = parsed.generation.format || parsed.tools.binds();
  const auto shared = std::make_shared<const ChatRequest>(std::move(parsed));
  return answer(
      call, {shared, &shared->generation}, compiles,
      [shared](const ApiCall& now, const ServedModel& model) -> ApiResult<Job> {
        const ChatRequest& wanted = *shared;
        const GenerationRequest& options = wanted.generation;
        FATHOM_TRY(Request request, model.chat_prompt(wanted.messages, wanted.tools, "messages"));
        FATHOM_CHECK(model.apply(options, request));
        FATHOM_TRY(request.constraint, model.constraint(options, "response_format"));
        FATHOM_TRY(auto tools, model.offer_tools(wanted.tools, options.format, request));
        FATHOM_TRY(const Tokenizer* words, model.tokenizer());
        Job job{.model = &model,
                .requests = {},
                .writer =
                    chat_writer(label(now, model, "chatcmpl-"), options, *words, std::move(tools)),
                .stream = options.stream,
                .keep_scores = options.logprobs.has_value(),
                .tools = wanted.tools.active()};
        job.requests.push_back(std::move(request));
        return job;
      });
}

ApiStatus Api::completions(ApiCall& call) {
  FATHOM_TRY(CompletionRequest parsed, parse_completion_request(call.request.body));
  if (parsed.echo && parsed.generation.logprobs && parsed.generation.stream) {
    return bad_request("stream", "A stream cannot echo the prompt's logprobs. Leave out stream.");
  }
  const bool compiles = parsed.generation.format.has_value();
  const auto shared = std::make_shared<const CompletionRequest>(std::move(parsed));
  return answer(call, {shared, &shared->generation}, compiles,
                [shared](const ApiCall& now, const ServedModel& model) -> ApiResult<Job> {
                  const CompletionRequest& wanted = *shared;
                  const GenerationRequest& options = wanted.generation;
                  const bool chooses = wanted.best_of > options.n;
                  FATHOM_TRY(const Tokenizer* words, model.tokenizer());
                  Job job{.model = &model,
                          .requests = {},
                          .writer = {},
                          .stream = options.stream,
                          .keep_scores = options.logprobs.has_value() || chooses,
                          .best = chooses ? options.n : 0};
                  std::vector<std::string> echoes;
                  FATHOM_TRY(const auto format, model.constraint(options, "response_format"));
                  for (const PromptText& text : wanted.prompts) {
                    FATHOM_TRY(Request request, model.text_prompt(text, "prompt"));
                    FATHOM_CHECK(model.apply(options, request));
                    request.answers = wanted.best_of;
                    if (chooses && !request.logprobs) request.logprobs = 0;
                    request.constraint = format;
                    request.score_prompt = wanted.echo && options.logprobs.has_value();
                    if (wanted.echo) echoes.push_back(words->decode(request.prompt));
                    job.requests.push_back(std::move(request));
                  }
                  job.writer = completion_writer(label(now, model, "cmpl-"), options, *words,
                                                 std::move(echoes));
                  return job;
                });
}

ApiStatus Api::responses(ApiCall& call) {
  FATHOM_TRY(ResponsesRequest parsed, parse_responses_request(call.request.body));
  const bool compiles = parsed.generation.format || parsed.tools.binds();
  const auto shared = std::make_shared<const ResponsesRequest>(std::move(parsed));
  return answer(
      call, {shared, &shared->generation}, compiles,
      [shared](const ApiCall& now, const ServedModel& model) -> ApiResult<Job> {
        const ResponsesRequest& wanted = *shared;
        const GenerationRequest& options = wanted.generation;
        FATHOM_TRY(Request request, model.chat_prompt(wanted.messages, wanted.tools, "input"));
        FATHOM_CHECK(model.apply(options, request));
        FATHOM_TRY(request.constraint, model.constraint(options, "text.format"));
        FATHOM_TRY(const auto tools, model.offer_tools(wanted.tools, options.format, request));
        Job job{.model = &model,
                .requests = {},
                .writer = responses_writer(label(now, model, "resp_"), wanted, tools),
                .stream = options.stream,
                .tools = wanted.tools.active()};
        job.requests.push_back(std::move(request));
        return job;
      });
}

ApiStatus Api::embeddings(ApiCall& call) {
  FATHOM_TRY(const EmbeddingRequest wanted, parse_embedding_request(call.request.body));
  FATHOM_TRY(const auto model, find_model(wanted.model));
  Job job{.model = model.get(),
          .requests = {},
          .writer = embedding_writer(label(call, *model, "emb-"), wanted.base64)};
  for (const PromptText& text : wanted.inputs) {
    FATHOM_TRY(Request request, model->text_prompt(text, "input"));
    request.pooling = wanted.last_token ? Pooling::kLast : Pooling::kMean;
    job.requests.push_back(std::move(request));
  }
  start(call, std::move(job), {});
  return {};
}

}  // namespace fathom::serve

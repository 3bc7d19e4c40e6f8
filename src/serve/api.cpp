#include "serve/api.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/quote.h"
#include "engine/engine.h"
#include "serve/answer_json.h"
#include "serve/openapi.h"
#include "serve/plan_api.h"

namespace fathom::serve {
namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

double seconds_since(double time) {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
             .count() -
         time;
}

ApiError not_found(const ApiCall& call) {
  return {.status = 404,
          .message = fmt::format("There is nothing at {}. See /openapi.json.",
                                 in_quotes(call.request.path)),
          .code = "unknown_url"};
}

OrderedJson usage_row(const UsageRow& row) {
  return {{"requests", row.requests},
          {"prompt_tokens", row.prompt_tokens},
          {"cached_tokens", row.cached_tokens},
          {"completion_tokens", row.completion_tokens},
          {"failed", row.failed},
          {"cancelled", row.cancelled},
          {"seconds", row.seconds},
          {"cost_usd", row.cost_usd},
          {"routed", row.routed},
          {"kept_by_lite", row.kept},
          {"saved_usd", row.saved_usd}};
}

// What has waited so long for one of the slow tasks' threads is better asked again.
constexpr double kLongestWait = 10;

ApiError too_slow() {
  return {
      .status = 503,
      .message = "Too many requests wait whose formats, tools or adapters take long to prepare.",
      .code = "overloaded",
      .retry_after = kBusyCompilersRetry};
}

// Also keeps web pages of others out: a browser sends this type only where CORS allows it.
ApiStatus check_content_type(const HttpRequest& request) {
  std::string_view type = request.header("Content-Type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  std::string lower(type);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower == "application/json") return {};
  return std::unexpected(
      ApiError{.status = 415,
               .message = fmt::format("The body is of the type {}; it must be application/json.",
                                      in_quotes(type))});
}

}  // namespace

Api::Api(Parts parts) : parts_(std::move(parts)), started_(now()) {}

void Api::respond(const ApiCall& call, HttpResponse response) {
  response.headers.insert(response.headers.end(), call.headers.begin(), call.headers.end());
  parts_.metrics->response(response.status);
  parts_.log->info("request", {{"id", call.id},
                               {"peer", call.request.peer},
                               {"key", call.pass ? call.pass->key() : ""},
                               {"method", call.request.method},
                               {"path", call.request.path},
                               {"status", response.status},
                               {"seconds", seconds_since(call.time)}});
  if (call.pass) call.pass->leave();
  call.exchange->respond(response);
}

void Api::respond(const ApiCall& call, const ApiError& error) {
  respond(call, error_response(error));
}

void Api::handle(ApiCall call) {
  run(std::move(call), [this](ApiCall& routed) { return route(routed); });
}

void Api::run(ApiCall call, const Step& step) {
  try {
    const ApiStatus status = step(call);
    if (!status) respond(call, status.error());
  } catch (const std::exception& error) {
    parts_.log->error("exception", {{"id", call.id}, {"what", error.what()}});
    respond(call, ApiError{.status = 500, .message = "Something went wrong in the server."});
  }
}

ApiStatus Api::run_later(ApiCall& call, Step step) {
  auto shared = std::make_shared<ApiCall>(std::move(call));
  const bool added = parts_.slow_tasks->add(
      [this, shared, step = std::move(step)] { run_slow(std::move(*shared), step); });
  if (added) return {};
  call = std::move(*shared);
  return std::unexpected(too_slow());
}

void Api::run_slow(ApiCall call, const Step& step) {
  if (call.exchange->gone()) return;
  if (*parts_.stopping) {
    respond(call, ApiError{.status = 503,
                           .message = "The server is stopping.",
                           .code = "stopping",
                           .retry_after = 5});
  } else if (seconds_since(call.time) > kLongestWait) {
    respond(call, too_slow());
  } else {
    run(std::move(call), step);
  }
}

ApiStatus Api::route(ApiCall& call) {
  using Endpoint = ApiStatus (Api::*)(ApiCall&);
  struct Route {
    std::string_view path;
    Endpoint endpoint;
  };
  static constexpr Route kPosts[] = {
      {"/v1/chat/completions", &Api::chat},
      {"/v1/completions", &Api::completions},
      {"/v1/responses", &Api::responses},
      {"/v1/embeddings", &Api::embeddings},
      {"/v1/plan", &Api::plan},
      {"/v1/load_lora_adapter", &Api::load_adapter},
      {"/v1/unload_lora_adapter", &Api::unload_adapter},
  };
  const std::string& path = call.request.path;
  const bool is_get = call.request.method == "GET" || call.request.method == "HEAD";
  const bool is_post = call.request.method == "POST";
  constexpr std::string_view kModels = "/v1/models";
  const auto wrong_method = [&](const char* allowed) {
    HttpResponse response =
        error_response({.status = 405,
                        .message = fmt::format("{} does not take {}; it takes {}.", path,
                                               in_quotes(call.request.method), allowed)});
    response.headers.emplace_back("Allow", allowed);
    respond(call, std::move(response));
    return ApiStatus();
  };

  if (path == kModels || path.starts_with(std::string(kModels) + "/")) {
    if (!is_get) return wrong_method("GET");
    return models(call, path.substr(std::min(path.size(), kModels.size() + 1)));
  }
  if (path == "/v1/usage") return is_get ? usage(call) : wrong_method("GET");
  if (path == "/metrics") {
    if (!is_get) return wrong_method("GET");
    respond(call, HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                               .body = parts_.metrics->text()});
    return {};
  }
  if (path == "/openapi.json") {
    if (!is_get) return wrong_method("GET");
    respond(call, HttpResponse{.body = std::string(openapi_document())});
    return {};
  }
  if (path == "/tokenize" || path == "/detokenize") {
    if (!is_post) return wrong_method("POST");
    FATHOM_CHECK(check_content_type(call.request));
    return path == "/tokenize" ? tokenize(call) : detokenize(call);
  }
  for (const Route& route : kPosts) {
    if (path != route.path) continue;
    if (!is_post) return wrong_method("POST");
    FATHOM_CHECK(check_content_type(call.request));
    return (this->*route.endpoint)(call);
  }
  return std::unexpected(not_found(call));
}

ApiStatus Api::models(const ApiCall& call, const std::string& name) {
  const auto describe = [&](const ServedModel& model) -> OrderedJson {
    const ModelInfo& info = model.engine->info;
    OrderedJson entry = {{"id", model.name},
                         {"object", "model"},
                         {"created", started_},
                         {"owned_by", "fathom"},
                         {"context_length", model.serving->context()},
                         {"architecture", info.architecture},
                         {"parameters", info.parameters}};
    if (model.adapter) entry["parent"] = model.name.substr(0, model.name.rfind(':'));
    return entry;
  };
  if (!name.empty()) {
    FATHOM_TRY(const auto model, find_model(name));
    respond(call, HttpResponse{.body = dump(describe(*model))});
    return {};
  }
  OrderedJson list = OrderedJson::array();
  for (const auto& model : parts_.models->all()) list.push_back(describe(*model));
  if (parts_.routing) {
    list.push_back({{"id", kRoutedModel},
                    {"object", "model"},
                    {"created", started_},
                    {"owned_by", "fathom"},
                    {"lite", parts_.routing->lite->name},
                    {"v1", parts_.routing->v1->name}});
  }
  respond(call, HttpResponse{.body = dump({{"object", "list"}, {"data", std::move(list)}})});
  return {};
}

ApiStatus Api::usage(const ApiCall& call) {
  if (parts_.ledger == nullptr) {
    return std::unexpected(ApiError{.status = 404,
                                    .message = "This server keeps no ledger (--no-ledger).",
                                    .code = "no_ledger"});
  }
  UsageQuery query;
  if (const std::string days = call.request.parameter("days"); !days.empty()) {
    const bool digits = std::ranges::all_of(days, [](char c) { return c >= '0' && c <= '9'; });
    query.days = digits && days.size() <= 5 ? std::stoll(days) : 0;
    if (query.days < 1) {
      return bad_request("days", "days is {}; it must be 1 to 99999.", in_quotes(days));
    }
  }
  // With keys, everybody sees what is their own.
  if (parts_.needs_keys) query.key = call.pass->key();
  parts_.ledger->flush();
  const auto rows = read_usage(parts_.database, query);
  if (!rows) return std::unexpected(ApiError{.status = 500, .message = rows.error().message});
  UsageRow total;
  OrderedJson list = OrderedJson::array();
  for (const UsageRow& row : *rows) {
    OrderedJson json = {{"day", row.day}, {"key", row.key}, {"model", row.model}};
    json.update(usage_row(row));
    json["first_token_seconds"] = row.first_token_seconds;
    list.push_back(std::move(json));
    total.requests += row.requests;
    total.prompt_tokens += row.prompt_tokens;
    total.cached_tokens += row.cached_tokens;
    total.completion_tokens += row.completion_tokens;
    total.failed += row.failed;
    total.cancelled += row.cancelled;
    total.seconds += row.seconds;
    total.cost_usd += row.cost_usd;
    total.routed += row.routed;
    total.kept += row.kept;
    total.saved_usd += row.saved_usd;
  }
  respond(call, HttpResponse{.body = dump({{"object", "list"},
                                           {"data", std::move(list)},
                                           {"total", usage_row(total)}})});
  return {};
}

ApiStatus Api::tokenize(const ApiCall& call) {
  FATHOM_TRY(const TokenizeRequest wanted, parse_tokenize_request(call.request.body));
  FATHOM_TRY(const auto model, find_model(wanted.model));
  FATHOM_TRY(const Tokenizer* words, model->tokenizer());
  const auto tokens =
      words->encode(wanted.text, wanted.parse_special ? SpecialText::kParse : SpecialText::kPlain,
                    wanted.add_special_tokens);
  if (!tokens) return bad_request("content", "{}", tokens.error().message);
  respond(call, HttpResponse{.body = dump({{"tokens", *tokens}, {"count", tokens->size()}})});
  return {};
}

ApiStatus Api::detokenize(const ApiCall& call) {
  FATHOM_TRY(const DetokenizeRequest wanted, parse_detokenize_request(call.request.body));
  FATHOM_TRY(const auto model, find_model(wanted.model));
  FATHOM_TRY(const Tokenizer* words, model->tokenizer());
  if (const Status known = model->engine->check_tokens(wanted.tokens); !known) {
    return bad_request("tokens", "{}", known.error().message);
  }
  respond(call, HttpResponse{.body = dump({{"content", words->decode(wanted.tokens)}})});
  return {};
}

ApiStatus Api::plan(ApiCall& call) {
  FATHOM_TRY(std::string body, answer_plan(call.request.body, parts_.evaluations));
  respond(call, HttpResponse{.body = std::move(body)});
  return {};
}

ApiResult<ModelList::Entry> Api::find_model(const std::string& name) const {
  if (name.empty()) return parts_.models->first();
  if (parts_.routing && name == kRoutedModel) {
    return bad_request("model", "The model {} is for answers alone. Name one of those behind it.",
                       in_quotes(name));
  }
  if (auto model = parts_.models->find(name)) return model;
  std::string names;
  const auto models = parts_.models->all();
  for (const auto& model : models) {
    names += (names.empty() ? "" : ", ") + in_quotes(model->name);
  }
  return std::unexpected(
      ApiError{.status = 404,
               .message = fmt::format("The model {} is not served here. There {}: {}.",
                                      in_quotes(name), models.size() == 1 ? "is" : "are", names),
               .param = "model",
               .code = "model_not_found"});
}

AnswerLabel Api::label(const ApiCall& call, const ServedModel& model, const char* prefix) {
  return {.id = prefix + call.id, .model = model.name, .created = static_cast<int64_t>(call.time)};
}

}  // namespace fathom::serve

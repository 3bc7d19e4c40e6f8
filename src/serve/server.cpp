#include "serve/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <utility>

#include "engine/engine.h"
#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/api_keys.h"
#include "serve/key_gate.h"
#include "serve/ledger.h"
#include "serve/metrics.h"
#include "serve/model_list.h"
#include "serve/routing.h"
#include "serve/task_queue.h"
#include "serve/web_page.h"

namespace fathom::serve {
namespace {

constexpr int kTaskThreads = 2;
constexpr size_t kLoggedBody = size_t{16} << 10;
constexpr size_t kMostTasks = 8192;
// For what may take seconds.
constexpr int kSlowTaskThreads = 4;

std::string new_id() {
  thread_local std::mt19937_64 random{std::random_device()()};
  return fmt::format("{:016x}{:08x}", random(), random() >> 32);
}

// Each connection is a descriptor.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct Server::Impl {
  ServeOptions options;
  EventLog log;
  std::unique_ptr<ApiKeys> keys;
  std::unique_ptr<Ledger> ledger;
  ModelList models;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<KeyGate> gate;
  std::unique_ptr<Api> api;
  std::unique_ptr<TaskQueue> slow_tasks;
  std::unique_ptr<TaskQueue> tasks;  // some of which end as slow ones
  std::atomic<bool> stopping = false;
  std::mutex http_mutex;  // metrics may ask for the server while it starts
  std::unique_ptr<HttpServer> http;

  explicit Impl(const ServeOptions& chosen) : options(chosen), log(chosen.log) {}

  Status open(const std::vector<NamedModel>& named_models);
  void handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange);
  void admit(ApiCall call);
  bool answer_preflight(const ApiCall& call);
  Headers headers_for(const HttpRequest& request, const std::string& id) const;
  bool origin_is_allowed(std::string_view origin) const;
};

Status Server::Impl::open(const std::vector<NamedModel>& named_models) {
  if (options.require_keys) {
    FATHOM_TRY(keys, ApiKeys::open(options.database));
  }
  if (options.keep_ledger) {
    FATHOM_TRY(ledger, Ledger::open(options.database, options.usage_days));
  }
  if (named_models.size() > 1) options.engine.turns = std::make_shared<Turns>();
  for (const NamedModel& named : named_models) {
    ServedModel model{.name = named.name,
                      .engine = named.model.impl()->engine,
                      .serving = {},
                      .recommended = named.model.recommended_sampling(),
                      .tool_format = options.tool_format};
    if (!model.tool_format) model.tool_format = model.engine->tool_format;
    ServingOptions engine = options.engine;
    // A model that drafts for the others answers too, but without guesses of its own.
    const auto& draft = engine.speculation.draft;
    if (named_models.size() > 1 && draft && draft->impl()->engine == model.engine) {
      engine.speculation = {};
    }
    FATHOM_TRY(model.serving, ServingEngine::start(model.engine, engine));
    models.add(model);
    for (const NamedAdapter& adapter : named.adapters) {
      ServedModel adapted = model;
      adapted.name = fmt::format("{}:{}", named.name, adapter.name);
      FATHOM_TRY(adapted.adapter, model.engine->load_adapter(adapter.path));
      models.add(std::move(adapted));
    }
  }
  std::optional<Routing> routing;
  if (options.route) {
    FATHOM_TRY(routing, Routing::make(*options.route, models.all()));
  }
  metrics = std::make_unique<Metrics>([this] {
    Metrics::Gauges gauges;
    for (const auto& model : models.all()) {
      if (model->adapter) continue;  // its model's engine counts for both
      gauges.engines.push_back({.model = model->name, .stats = model->serving->stats()});
    }
    const std::lock_guard lock(http_mutex);
    if (http) gauges.connections = http->connections();
    if (ledger) gauges.ledger_lost = ledger->lost();
    return gauges;
  });
  slow_tasks = std::make_unique<TaskQueue>(kSlowTaskThreads, options.most_slow_tasks);
  gate = std::make_unique<KeyGate>(keys.get(), options.key_limits);
  api = std::make_unique<Api>(Api::Parts{.models = &models,
                                         .routing = std::move(routing),
                                         .metrics = metrics.get(),
                                         .log = &log,
                                         .ledger = ledger.get(),
                                         .prices = options.prices,
                                         .database = options.database,
                                         .evaluations = options.evaluations,
                                         .needs_keys = keys != nullptr,
                                         .adapter_folder = options.adapter_folder,
                                         .slow_tasks = slow_tasks.get(),
                                         .stopping = &stopping});
  tasks = std::make_unique<TaskQueue>(kTaskThreads, kMostTasks);
  raise_descriptor_limit();
  auto listening = HttpServer::start(
      options.http,
      [this](HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
        handle(std::move(request), exchange);
      },
      [this](int status, const std::string& message) {
        metrics->response(status);
        return error_response({.status = status, .message = message});
      });
  if (!listening) return std::unexpected(listening.error());
  const std::lock_guard lock(http_mutex);
  http = *std::move(listening);
  return {};
}

bool Server::Impl::origin_is_allowed(std::string_view origin) const {
  return std::ranges::any_of(options.cors_origins, [&](const std::string& allowed) {
    return allowed == "*" || allowed == origin;
  });
}

Headers Server::Impl::headers_for(const HttpRequest& request, const std::string& id) const {
  Headers headers = {{"x-request-id", id}, {"X-Content-Type-Options", "nosniff"}};
  const std::string_view origin = request.header("Origin");
  if (!origin.empty() && origin_is_allowed(origin)) {
    headers.emplace_back("Access-Control-Allow-Origin", origin);
    headers.emplace_back("Vary", "Origin");
  }
  return headers;
}

// A browser asks first whether a page of another origin may ask.
bool Server::Impl::answer_preflight(const ApiCall& call) {
  if (call.request.method != "OPTIONS") return false;
  const std::string_view origin = call.request.header("Origin");
  if (origin.empty() || !origin_is_allowed(origin)) {
    api->respond(call, ApiError{.status = 403,
                                .message = "Pages of other origins may not ask this server "
                                           "(--cors-origin)."});
    return true;
  }
  api->respond(
      call,
      HttpResponse{.status = 204,
                   .content_type = "",
                   .headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                               {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                               {"Access-Control-Max-Age", "600"}}});
  return true;
}

// On the HTTP server's thread: only what takes no time.
void Server::Impl::handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
  ApiCall call{.request = std::move(request),
               .exchange = exchange,
               .pass = {},
               .id = new_id(),
               .headers = {}};
  call.time =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  call.headers = headers_for(call.request, call.id);
  if (call.request.path == "/health" || call.request.path == "/ready") {
    const bool ready = !stopping;
    const bool fine = call.request.path == "/health" || ready;
    HttpResponse response{.status = fine ? 200 : 503,
                          .body = ready ? R"({"status":"ok"})" : R"({"status":"stopping"})",
                          .headers = call.headers};
    metrics->response(response.status);
    exchange->respond(response);
    return;
  }
  if (answer_preflight(call)) return;
  auto shared = std::make_shared<ApiCall>(std::move(call));
  if (!tasks->add([this, shared] { admit(std::move(*shared)); })) {
    api->respond(*shared, ApiError{.status = 503,
                                   .message = "Too many requests wait to be read.",
                                   .code = "overloaded",
                                   .retry_after = 1});
  }
}

void Server::Impl::admit(ApiCall call) {
  if (call.exchange->gone()) return;
  if (stopping) {
    api->respond(call, ApiError{.status = 503,
                                .message = "The server is stopping.",
                                .code = "stopping",
                                .retry_after = 5});
    return;
  }
  if (options.web_page) {
    if (auto page = web_page_response(call.request)) {
      api->respond(call, *std::move(page));
      return;
    }
  }
  if (call.request.path != "/openapi.json") {
    auto pass = gate->admit(call.request);
    if (!pass) {
      api->respond(call, pass.error());
      return;
    }
    call.pass = *std::move(pass);
    const Headers& limits = call.pass->headers();
    call.headers.insert(call.headers.end(), limits.begin(), limits.end());
  }
  if (options.log_prompts && call.request.method == "POST") {
    log.info("prompt", {{"id", call.id},
                        {"path", call.request.path},
                        {"bytes", call.request.body.size()},
                        {"body", call.request.body.substr(0, kLoggedBody)}});
  }
  api->handle(std::move(call));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Server>> Server::start(const std::vector<NamedModel>& models,
                                              const ServeOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  const Status opened = impl->open(models);
  std::unique_ptr<Server> server(new Server(std::move(impl)));
  if (!opened) return std::unexpected(opened.error());
  EventLog::Fields names = EventLog::Fields::array();
  for (const NamedModel& model : models) names.push_back(model.name);
  server->impl_->log.info("listening", {{"host", options.http.host},
                                        {"port", server->port()},
                                        {"models", names},
                                        {"tls", !options.http.tls_certificate.empty()},
                                        {"keys", options.require_keys}});
  return server;
}

uint16_t Server::port() const {
  return impl_->http->port();
}

bool Server::stop(std::chrono::milliseconds limit) {
  Impl& impl = *impl_;
  const bool again = impl.stopping.exchange(true);
  bool all_ended = true;
  if (impl.http) {
    if (!again) impl.log.info("stopping", EventLog::Fields::object());
    all_ended = impl.http->drain(limit);
  }
  // Cancels what is left, which ends its exchanges.
  for (const auto& model : impl.models.all()) model->serving->stop();
  if (impl.http) impl.http->drain(std::chrono::seconds(1));
  return all_ended;
}

Server::~Server() {
  stop(std::chrono::milliseconds(0));
  // Nobody may call the HTTP server's wake-ups once it is gone: the engine has stopped, and the
  // tasks end here.
  if (impl_->tasks) impl_->tasks->stop();
  if (impl_->slow_tasks) impl_->slow_tasks->stop();
  std::unique_ptr<HttpServer> http;
  {
    const std::lock_guard lock(impl_->http_mutex);
    http = std::move(impl_->http);
  }
}

}  // namespace fathom::serve

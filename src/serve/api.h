// The endpoints: each takes a request that was let in and answers it, at once or through the
// engine. May be called from any thread, several at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/answer_writer.h"
#include "serve/event_log.h"
#include "serve/exchange.h"
#include "serve/generation.h"
#include "serve/key_gate.h"
#include "serve/ledger.h"
#include "serve/metrics.h"
#include "serve/model_list.h"
#include "serve/prices.h"
#include "serve/routing.h"
#include "serve/task_queue.h"

namespace fathom::serve {

// One request on its way through the server.
struct ApiCall {
  HttpRequest request;
  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<KeyGate::Pass> pass;
  std::string id;
  Headers headers;  // that every response to it has
  double time = 0;  // of its arrival, seconds since 1970
};

class Api {
 public:
  struct Parts {
    ModelList* models = nullptr;     // the first answers who names none
    std::optional<Routing> routing;  // of requests to kRoutedModel
    Metrics* metrics = nullptr;
    EventLog* log = nullptr;
    Ledger* ledger = nullptr;  // may be null
    Prices prices;             // may be empty
    std::filesystem::path database;
    std::filesystem::path evaluations;  // for the planner; may be empty
    bool needs_keys = false;
    std::filesystem::path adapter_folder;  // of those that may be loaded; empty: none
    TaskQueue* slow_tasks = nullptr;       // for what may take seconds
    const std::atomic<bool>* stopping = nullptr;
  };
  explicit Api(Parts parts);

  // Answers with 404 or 405 where there is no such endpoint. Takes no more than milliseconds: the
  // rest is left to slow_tasks.
  void handle(ApiCall call);
  void respond(const ApiCall& call, HttpResponse response);
  void respond(const ApiCall& call, const ApiError& error);

 private:
  using Step = std::function<ApiStatus(ApiCall&)>;
  void run(ApiCall call, const Step& step);
  // Goes on with the call in slow_tasks; fails where too many wait there.
  ApiStatus run_later(ApiCall& call, Step step);
  void run_slow(ApiCall call, const Step& step);
  ApiStatus route(ApiCall& call);
  ApiStatus models(const ApiCall& call, const std::string& name);
  ApiStatus usage(const ApiCall& call);
  ApiStatus tokenize(const ApiCall& call);
  ApiStatus detokenize(const ApiCall& call);
  ApiStatus chat(ApiCall& call);
  ApiStatus completions(ApiCall& call);
  ApiStatus responses(ApiCall& call);
  ApiStatus embeddings(ApiCall& call);
  ApiStatus plan(ApiCall& call);
  ApiStatus load_adapter(ApiCall& call);
  ApiStatus load_adapter_now(const ApiCall& call);
  ApiStatus unload_adapter(ApiCall& call);

  struct AdapterName {
    ModelList::Entry model;  // the adapter's
    std::string adapter;
  };
  ApiResult<AdapterName> adapter_name(const std::string& text) const;
  ApiStatus may_change_adapters(const ApiCall& call) const;

  ApiResult<ModelList::Entry> find_model(const std::string& name) const;
  static AnswerLabel label(const ApiCall& call, const ServedModel& model, const char* prefix);

  // A request as one model would answer it.
  struct Job {
    const ServedModel* model = nullptr;  // that whoever makes the job keeps
    std::vector<Request> requests;
    std::unique_ptr<AnswerWriter> writer;
    bool stream = false;
    bool keep_scores = false;
    int32_t best = 0;    // of the answers to each prompt, show so many; 0: all
    bool tools = false;  // that the answer may call
  };
  struct RoutedJob;
  using MakeJob = std::function<ApiResult<Job>(const ApiCall&, const ServedModel&)>;
  // By the model that the request names, or by the one that the routing chooses. compiles: a
  // grammar has to be compiled for the job.
  ApiStatus answer(ApiCall& call, std::shared_ptr<const GenerationRequest> wanted, bool compiles,
                   MakeJob make);
  ApiStatus answer_now(ApiCall& call, const GenerationRequest& wanted, const MakeJob& make);
  ApiStatus answer_routed(ApiCall& call, const GenerationRequest& wanted, const MakeJob& make);
  void start(const ApiCall& call, Job job, const RouteTaken& route, double waited = 0);
  Generation::Call generation(const ApiCall& call, Job& job, const RouteTaken& route,
                              double waited) const;
  void record(LedgerEntry entry, const std::string& peer) const;

  const Parts parts_;
  const int64_t started_;
};

}  // namespace fathom::serve

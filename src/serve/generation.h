// One API request while the engine works on it: hands its prompts to the engine, passes what comes
// back through a writer to the client, cancels when the client goes away, and says at the end how
// it went. It keeps itself alive until then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/serving_engine.h"
#include "serve/answer_writer.h"
#include "serve/exchange.h"
#include "serve/metrics.h"

namespace fathom::serve {

struct GenerationOutcome {
  Usage usage;
  double first_token_seconds = 0;  // 0: there was none
  std::string outcome;             // "stop", "length", "cancelled", "failed", "refused"
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  struct Call {
    std::shared_ptr<Exchange> exchange;
    std::unique_ptr<AnswerWriter> writer;
    bool stream = false;
    bool keep_scores = false;
    int32_t best = 0;      // show so many of the answers to a prompt, the best; 0: all
    Headers headers = {};  // of the response
    double waited = 0;     // seconds between the request's arrival and that at the engine
    Metrics* metrics = nullptr;
    // Once, on whichever thread saw the end.
    std::function<void(const GenerationOutcome&)> on_done = {};
  };

  // The requests differ in their prompts alone. The engine must outlive all that it was given.
  static void start(ServingEngine& engine, std::vector<Request> requests, Call call);
  // The same for a request that the engine has been given already: the sink that its events go to.
  static std::shared_ptr<AnswerSink> adopt(ServingEngine& engine, RequestId id, int32_t answers,
                                           Call call);

  Generation(ServingEngine& engine, size_t prompts, int32_t answers, Call call);

 private:
  class Sink;

  void watch_client();
  void submit(std::vector<Request> requests);
  void cancel();
  void refuse(const Refusal& refusal);
  void add_prompt_scores(size_t prompt, const std::vector<ScoredToken>& tokens);
  void add_chunk(size_t choice, const AnswerChunk& chunk);
  void add_end(size_t choice, bool is_first_of_prompt, const AnswerEnd& end);
  void respond(HttpResponse response);
  void send(const std::string& events);
  void finish();
  void count_reasoning(size_t choice, const AnswerChunk& chunk);

  ServingEngine& engine_;
  const Call call_;
  const size_t answers_;  // to each prompt

  std::mutex ids_mutex_;  // never held while anybody else is called
  std::vector<RequestId> ids_;
  bool cancelled_ = false;

  // The rest belongs to whoever holds the mutex: the engine's thread, and the thread that submits.
  std::mutex mutex_;
  struct Progress {
    double last_token = 0;  // seconds since the request came
    int64_t undecided = 0;  // tokens whose text has not come yet
  };
  std::vector<Choice> choices_;
  std::vector<Progress> progress_;
  size_t open_answers_;
  bool begun_ = false;
  bool done_ = false;
  std::optional<Error> error_;
  bool stopped_by_us_ = false;
  GenerationOutcome outcome_;
};

}  // namespace fathom::serve

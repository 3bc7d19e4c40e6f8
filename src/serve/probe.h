// Lite's answer to a request that is routed, held back until it is certain whether it stays or V1
// answers instead (route/policy.h). It stands between Lite's engine and whoever writes the answer:
// what Lite said until then is passed on, or dropped and Lite's work cancelled.
//
// It keeps itself alive until Lite's answers have ended. Its callbacks are called on Lite's engine
// thread and must return quickly.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "engine/serving_engine.h"
#include "route/policy.h"
#include "serve/answer_writer.h"
#include "serve/exchange.h"

namespace fathom::serve {

class Probe : public AnswerSink, public std::enable_shared_from_this<Probe> {
 public:
  struct Call {
    std::shared_ptr<Exchange> exchange;  // with the client; when it is gone, Lite stops
    route::Policy policy;
    // Lite's answer stays: gives the sink that all of it goes to. Also called where Lite's answer
    // ended before it was judged because nobody waits for it any more.
    std::function<std::shared_ptr<AnswerSink>(RequestId id, double confidence)> keep;
    // V1 shall answer. refused: Lite's engine did not take the request.
    std::function<void(double confidence, bool refused)> escalate;
    // After escalate(), once Lite's answers have ended: what they had cost.
    std::function<void(const Usage& usage)> dropped;
  };

  // The request must ask for scores and entropies. Returns once Lite's engine has it.
  static void start(ServingEngine& lite, Request request, Call call);

  Probe(ServingEngine& lite, int32_t answers, Call call);

  void on_chunk(const AnswerChunk& chunk) override;
  void on_end(const AnswerEnd& end) override;

 private:
  struct Watched {
    int64_t tokens = 0;
    bool ended = false;
  };

  void submit(Request request);
  void cancel();
  RequestId id();
  bool is_certain() const;
  void judge();
  void keep(double confidence);

  ServingEngine& lite_;
  const Call call_;

  std::mutex id_mutex_;  // held while Lite's engine is given the request
  RequestId id_ = 0;
  bool cancelled_ = false;

  // The engine's thread only.
  std::vector<Watched> answers_;
  std::vector<std::variant<AnswerChunk, AnswerEnd>> held_;
  route::Evidence sums_;  // not yet means
  std::shared_ptr<AnswerSink> target_;
  bool escalated_ = false;
  size_t open_;
  Usage usage_;
};

}  // namespace fathom::serve

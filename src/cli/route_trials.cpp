#include "cli/route_trials.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "engine/engine.h"
#include "engine/turns.h"

namespace fathom::cli {
namespace {

// What one model said to one question.
struct Said {
  std::string text;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  route::Evidence judged;  // of the tokens that the route judges by
  std::string error;       // empty: none
};

// Counts the answers that are still to come.
class Pending {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++open_;
  }
  void done() {
    const std::lock_guard lock(mutex_);
    --open_;
    changed_.notify_all();
  }
  // Waits until at most `most` are open; false if the user wants to stop.
  bool wait(int64_t most, const InterruptScope& interrupt) {
    std::unique_lock lock(mutex_);
    while (open_ > most) {
      if (interrupt.requested()) return false;
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
    return !interrupt.requested();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t open_ = 0;
};

class Listener : public AnswerSink {
 public:
  Listener(Said& said, Pending& pending, int64_t judged_tokens)
      : said_(said), pending_(pending), judged_tokens_(judged_tokens) {}

  void on_chunk(const AnswerChunk& chunk) override {
    for (const TextPart& part : chunk.parts) {
      if (!part.reasoning) said_.text += part.text;
    }
    for (const ScoredToken& token : chunk.tokens) {
      if (said_.judged.tokens == judged_tokens_) break;
      ++said_.judged.tokens;
      said_.judged.mean_logprob += static_cast<double>(token.logprob.value_or(0));
      said_.judged.mean_entropy += static_cast<double>(token.entropy.value_or(0));
    }
  }

  void on_end(const AnswerEnd& end) override {
    said_.prompt_tokens = end.prompt_tokens;
    said_.completion_tokens = end.completion_tokens;
    if (end.error) said_.error = end.error->message;
    if (said_.judged.tokens > 0) {
      said_.judged.mean_logprob /= static_cast<double>(said_.judged.tokens);
      said_.judged.mean_entropy /= static_cast<double>(said_.judged.tokens);
    }
    pending_.done();
  }

 private:
  Said& said_;
  Pending& pending_;
  const int64_t judged_tokens_;
};

Result<Request> make_request(const Engine& engine, const route::RouteQuestion& question,
                             const TrialOptions& options) {
  FATHOM_TRY(const Tokenizer* words, engine.need_tokenizer());
  FATHOM_TRY(const std::string prompt, engine.render(question.messages, true, words));
  Request request;
  FATHOM_TRY(request.prompt, words->encode(prompt, SpecialText::kParse, false));
  request.reasoning = AnswerStream::reasoning_after(prompt);
  request.options.sampling.temperature = 0;
  request.options.max_tokens = options.max_tokens;
  request.logprobs = 0;
  request.entropies = true;
  return request;
}

// `wanted[i]` says whether question i is asked.
Result<std::vector<Said>> ask(const Model& model, const std::string& name,
                              const std::vector<route::RouteQuestion>& questions,
                              const std::vector<bool>& wanted, const TrialOptions& options) {
  constexpr int64_t kTogether = 64;
  std::vector<Said> said(questions.size());
  Pending pending;
  const InterruptScope interrupt;
  WorkProgress progress(fmt::format("{} answers", name));
  const auto engine = model.impl()->engine;
  const int64_t judged =
      options.policy.judge == route::Judge::kFirstTokens ? options.policy.tokens : -1;
  // Declared after what its sinks write to: its end waits for them.
  FATHOM_TRY(const auto serving, ServingEngine::start(engine));
  for (size_t i = 0; i < questions.size(); ++i) {
    if (!wanted[i]) continue;
    FATHOM_TRY(Request request, make_request(*engine, questions[i], options));
    request.sink = std::make_shared<Listener>(said[i], pending, judged);
    if (!pending.wait(kTogether - 1, interrupt)) return fail("Interrupted.");
    pending.add();
    if (const auto taken = serving->submit(std::move(request)); !taken) {
      return fail("{} does not take question {}: {}", name, i + 1, taken.error().message);
    }
    progress.show(static_cast<double>(i) / static_cast<double>(questions.size()));
  }
  if (!pending.wait(0, interrupt)) return fail("Interrupted.");
  for (size_t i = 0; i < said.size(); ++i) {
    if (!said[i].error.empty()) {
      return fail("{} could not answer question {}: {}", name, i + 1, said[i].error);
    }
  }
  return said;
}

class Costs {
 public:
  Costs(const Model& lite, const Model& v1, const TrialOptions& options)
      : options_(options),
        lite_parameters_(static_cast<double>(lite.info().active_parameters)),
        v1_parameters_(static_cast<double>(v1.info().active_parameters)) {}

  double lite(int64_t prompt, int64_t answer) const {
    return of(options_.policy.lite, lite_parameters_, prompt, answer);
  }
  double v1(int64_t prompt, int64_t answer) const {
    return of(options_.policy.v1, v1_parameters_, prompt, answer);
  }

 private:
  double of(const std::string& name, double parameters, int64_t prompt, int64_t answer) const {
    if (options_.prices != nullptr) return options_.prices->cost(name, prompt, 0, answer);
    return parameters * static_cast<double>(prompt + answer);
  }

  const TrialOptions& options_;
  const double lite_parameters_;
  const double v1_parameters_;
};

}  // namespace

Result<std::vector<route::Trial>> run_trials(const Model& lite, const Model& v1,
                                             const std::vector<route::RouteQuestion>& questions,
                                             const TrialOptions& options) {
  std::vector<bool> all(questions.size(), true);
  std::vector<bool> unknown;
  unknown.reserve(questions.size());
  for (const auto& question : questions) unknown.push_back(!question.preferred.has_value());
  FATHOM_TRY(const auto by_lite, ask(lite, options.policy.lite, questions, all, options));
  FATHOM_TRY(const auto by_v1, ask(v1, options.policy.v1, questions, unknown, options));

  const Costs costs(lite, v1, options);
  std::vector<route::Trial> trials;
  for (size_t i = 0; i < questions.size(); ++i) {
    const route::RouteQuestion& question = questions[i];
    const Said& small = by_lite[i];
    const Said& large = question.preferred ? small : by_v1[i];
    route::Trial trial{.evidence = small.judged};
    if (question.preferred) {
      trial.lite_quality = question.preferred == route::Preferred::kV1 ? 0 : 1;
      trial.v1_quality = question.preferred == route::Preferred::kLite ? 0 : 1;
    } else {
      trial.lite_quality = score(options.scoring, small.text, question.answers);
      trial.v1_quality = score(options.scoring, large.text, question.answers);
    }
    trial.judged_cost = costs.lite(small.prompt_tokens, small.judged.tokens);
    trial.lite_cost = costs.lite(small.prompt_tokens, small.completion_tokens);
    trial.v1_cost = costs.v1(large.prompt_tokens, large.completion_tokens);
    trials.push_back(trial);
  }
  return trials;
}

}  // namespace fathom::cli

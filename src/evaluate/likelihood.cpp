#include "evaluate/likelihood.h"

#include <algorithm>
#include <memory>

#include "engine/engine.h"
#include "engine/serving_engine.h"
#include "evaluate/request_board.h"

namespace fathom {
namespace {

// Adds up the scores of the prompt's tokens from `from` on.
class Summing : public AnswerSink {
 public:
  Summing(RequestBoard& board, double& sum, size_t from) : board_(board), sum_(sum), from_(from) {}

  void on_prompt_scores(const std::vector<ScoredToken>& tokens) override {
    for (const ScoredToken& token : tokens) {
      if (at_++ >= from_) sum_ += static_cast<double>(token.logprob.value_or(0));
    }
  }
  void on_chunk(const AnswerChunk& /*chunk*/) override {}
  void on_end(const AnswerEnd& end) override { board_.ended(end); }

 private:
  RequestBoard& board_;
  double& sum_;
  const size_t from_;
  size_t at_ = 0;
};

struct Tokens {
  std::vector<int32_t> all;
  size_t from = 0;  // the continuation's first
};

Result<Tokens> tokenize(const Tokenizer& tokenizer, const Continuation& continuation,
                        size_t context) {
  // Spaces at the end of a context belong to what follows, or the first word would be cut off its
  // space.
  const size_t end = continuation.context.find_last_not_of(" \n\t\r") + 1;
  const std::string before = continuation.context.substr(0, end);
  const std::string after = continuation.context.substr(end) + continuation.text;
  Tokens tokens;
  FATHOM_TRY(tokens.all, tokenizer.encode(before + after, SpecialText::kPlain, true));
  FATHOM_TRY(const auto first, tokenizer.encode(before, SpecialText::kPlain, true));
  tokens.from = std::min(first.size(), tokens.all.size());
  if (tokens.from == 0) {
    return fail(
        "A question has no context that its answers could follow, and the model no token "
        "that begins a text.");
  }
  if (tokens.from == tokens.all.size()) {
    return fail("The answer \"{}\" has no tokens of its own.", continuation.text);
  }
  if (tokens.all.size() > context) {
    const size_t cut = tokens.all.size() - context;
    if (cut >= tokens.from) {
      return fail("An answer of {} tokens does not fit into a context of {}.",
                  tokens.all.size() - tokens.from, context);
    }
    tokens.all.erase(tokens.all.begin(), tokens.all.begin() + static_cast<std::ptrdiff_t>(cut));
    tokens.from -= cut;
  }
  return tokens;
}

}  // namespace

Result<std::vector<double>> loglikelihoods(const Model& model,
                                           const std::vector<Continuation>& continuations,
                                           const std::function<bool(size_t done)>& on_done) {
  const auto engine = model.impl()->engine;
  FATHOM_TRY(const Tokenizer* tokenizer, engine->need_tokenizer());
  std::vector<double> sums(continuations.size(), 0);
  RequestBoard board(on_done);
  // Declared after what its sinks write to: its end waits for them.
  FATHOM_TRY(const auto serving, ServingEngine::start(engine));
  for (size_t i = 0; i < continuations.size(); ++i) {
    FATHOM_TRY(Tokens tokens,
               tokenize(*tokenizer, continuations[i], static_cast<size_t>(serving->context() - 1)));
    Request request;
    request.prompt = std::move(tokens.all);
    request.options.max_tokens = 0;
    request.logprobs = 0;
    request.score_prompt = true;
    request.sink = std::make_shared<Summing>(board, sums[i], tokens.from);
    FATHOM_CHECK(board.submit(*serving, std::move(request)));
  }
  FATHOM_CHECK(board.finish());
  return sums;
}

}  // namespace fathom

#include "evaluate/answerer.h"

#include "engine/answer_stream.h"
#include "engine/engine.h"
#include "engine/serving_engine.h"
#include "evaluate/request_board.h"

namespace fathom {
namespace {

class Collecting : public AnswerSink {
 public:
  Collecting(RequestBoard& board, std::string& text) : board_(board), text_(text) {}

  void on_chunk(const AnswerChunk& chunk) override {
    for (const TextPart& part : chunk.parts) {
      if (!part.reasoning) text_ += part.text;
    }
  }
  void on_end(const AnswerEnd& end) override { board_.ended(end); }

 private:
  RequestBoard& board_;
  std::string& text_;
};

Result<Request> request_for(const Engine& engine, const Tokenizer& tokenizer,
                            const OpenQuestion& question) {
  Request request;
  if (question.chat) {
    FATHOM_TRY(const std::string text,
               engine.render({{"user", question.prompt}}, true, &tokenizer));
    FATHOM_TRY(request.prompt, tokenizer.encode(text, SpecialText::kParse, false));
    request.reasoning = AnswerStream::reasoning_after(text);
  } else {
    FATHOM_TRY(request.prompt, tokenizer.encode(question.prompt, SpecialText::kPlain, true));
  }
  if (request.prompt.empty()) return fail("A question is empty: there is nothing to answer.");
  request.options.sampling.temperature = 0;
  request.options.max_tokens = question.max_tokens;
  request.options.stop = question.stop;
  return request;
}

class LocalAnswerer final : public Answerer {
 public:
  explicit LocalAnswerer(const Model& model) : model_(model) {}

  Result<std::vector<double>> loglikelihoods(const std::vector<Continuation>& continuations,
                                             const OnDone& on_done) override {
    return fathom::loglikelihoods(model_, continuations, on_done);
  }

  Result<std::vector<std::string>> generate(const std::vector<OpenQuestion>& questions,
                                            const OnDone& on_done) override {
    const auto engine = model_.impl()->engine;
    FATHOM_TRY(const Tokenizer* tokenizer, engine->need_tokenizer());
    std::vector<std::string> texts(questions.size());
    RequestBoard board(on_done);
    // Declared after what its sinks write to: its end waits for them.
    FATHOM_TRY(const auto serving, ServingEngine::start(engine));
    for (size_t i = 0; i < questions.size(); ++i) {
      FATHOM_TRY(Request request, request_for(*engine, *tokenizer, questions[i]));
      request.sink = std::make_shared<Collecting>(board, texts[i]);
      FATHOM_CHECK(board.submit(*serving, std::move(request)));
    }
    FATHOM_CHECK(board.finish());
    return texts;
  }

 private:
  Model model_;
};

}  // namespace

std::unique_ptr<Answerer> make_answerer(const Model& model) {
  return std::make_unique<LocalAnswerer>(model);
}

}  // namespace fathom

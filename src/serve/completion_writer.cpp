// /v1/completions: text_completion, whole or in events of the same shape.
#include <map>
#include <utility>

#include "serve/answer_json.h"
#include "serve/answer_writer.h"
#include "text/utf8.h"

namespace fathom::serve {
namespace {

size_t characters(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

class CompletionWriter : public AnswerWriter {
 public:
  CompletionWriter(AnswerLabel label, const GenerationRequest& request, const Tokenizer& tokenizer,
                   std::vector<std::string> echoes)
      : label_(std::move(label)),
        alternatives_(request.logprobs),
        include_usage_(request.include_usage),
        answers_(request.n),
        tokenizer_(&tokenizer),
        echoes_(std::move(echoes)) {}

  std::string chunk(int32_t choice, const AnswerChunk& chunk) override {
    std::string events = begin(choice);
    const std::string text = text_of(chunk.parts, false);
    const bool scores = alternatives_ && !chunk.tokens.empty();
    if (text.empty() && !scores) return events;
    OrderedJson scored;
    if (scores) scored = logprobs(chunk.tokens, offsets_[choice]);
    return events + event(choice, text, std::move(scored), nullptr);
  }

  std::string choice_end(int32_t choice, const AnswerEnd& end) override {
    return begin(choice) + event(choice, "", nullptr, std::string(name(end.reason)));
  }

  std::string stream_end(const Usage& usage) override {
    std::string events;
    if (include_usage_) {
      OrderedJson document = head();
      document["choices"] = OrderedJson::array();
      document["usage"] = usage_json(usage);
      events = sse(document);
    }
    return events + "data: [DONE]\n\n";
  }

  std::string whole(std::span<const Choice> choices, const Usage& usage) override {
    OrderedJson document = head();
    OrderedJson& list = document["choices"] = OrderedJson::array();
    for (size_t i = 0; i < choices.size(); ++i) {
      const Choice& choice = choices[i];
      OrderedJson scores;
      if (alternatives_) {
        std::vector<ScoredToken> tokens = choice.prompt_scores;
        tokens.insert(tokens.end(), choice.tokens.begin(), choice.tokens.end());
        size_t offset = 0;
        scores = logprobs(tokens, offset);
      }
      list.push_back({{"text", echo(static_cast<int32_t>(i)) + choice.text},
                      {"index", i},
                      {"logprobs", std::move(scores)},
                      {"finish_reason", name(choice.end.reason)}});
    }
    document["usage"] = usage_json(usage);
    return dump(document);
  }

 private:
  OrderedJson head() const {
    return {{"id", label_.id},
            {"object", "text_completion"},
            {"created", label_.created},
            {"model", label_.model}};
  }

  std::string echo(int32_t choice) const {
    return echoes_.empty() ? std::string() : echoes_[static_cast<size_t>(choice / answers_)];
  }

  // The echo of the prompt comes before an answer's first text.
  std::string begin(int32_t choice) {
    const auto [offset, is_new] = offsets_.try_emplace(choice, 0);
    if (!is_new || echoes_.empty()) return {};
    const std::string text = echo(choice);
    offset->second = characters(text);
    return event(choice, text, nullptr, nullptr);
  }

  // offset: of the first token in the text, in characters; moves behind the last.
  OrderedJson logprobs(const std::vector<ScoredToken>& tokens, size_t& offset) const {
    OrderedJson names = OrderedJson::array();
    OrderedJson scores = OrderedJson::array();
    OrderedJson tops = OrderedJson::array();
    OrderedJson offsets = OrderedJson::array();
    for (const ScoredToken& scored : tokens) {
      const std::string text = token_text(*tokenizer_, scored.token);
      names.push_back(replace_invalid_utf8(text));
      scores.push_back(scored.logprob ? OrderedJson(*scored.logprob) : OrderedJson());
      offsets.push_back(offset);
      if (!tokenizer_->is_special(scored.token)) offset += characters(text);
      OrderedJson top = OrderedJson::object();
      for (const TokenScore& other : scored.top) {
        top[replace_invalid_utf8(token_text(*tokenizer_, other.token))] = other.logprob;
      }
      tops.push_back(scored.logprob && *alternatives_ > 0 ? std::move(top) : OrderedJson());
    }
    return {{"tokens", std::move(names)},
            {"token_logprobs", std::move(scores)},
            {"top_logprobs", *alternatives_ > 0 ? std::move(tops) : OrderedJson()},
            {"text_offset", std::move(offsets)}};
  }

  std::string event(int32_t choice, const std::string& text, OrderedJson scores,
                    OrderedJson finish_reason) const {
    OrderedJson document = head();
    document["choices"] = OrderedJson::array({{{"text", text},
                                               {"index", choice},
                                               {"logprobs", std::move(scores)},
                                               {"finish_reason", std::move(finish_reason)}}});
    if (include_usage_) document["usage"] = nullptr;
    return sse(document);
  }

  const AnswerLabel label_;
  const std::optional<int32_t> alternatives_;
  const bool include_usage_;
  const int32_t answers_;
  const Tokenizer* tokenizer_;
  const std::vector<std::string> echoes_;
  std::map<int32_t, size_t> offsets_;
};

}  // namespace

std::unique_ptr<AnswerWriter> completion_writer(AnswerLabel label, const GenerationRequest& request,
                                                const Tokenizer& tokenizer,
                                                std::vector<std::string> echoes) {
  return std::make_unique<CompletionWriter>(std::move(label), request, tokenizer,
                                            std::move(echoes));
}

}  // namespace fathom::serve

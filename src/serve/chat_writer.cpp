// /v1/chat/completions: chat.completion and chat.completion.chunk.
#include <set>
#include <utility>

#include "serve/answer_json.h"
#include "serve/answer_writer.h"

namespace fathom::serve {
namespace {

class ChatWriter : public AnswerWriter {
 public:
  ChatWriter(AnswerLabel label, const GenerationRequest& request, const Tokenizer& tokenizer)
      : label_(std::move(label)),
        logprobs_(request.logprobs.has_value()),
        include_usage_(request.include_usage),
        tokenizer_(&tokenizer) {}

  std::string chunk(int32_t choice, const AnswerChunk& chunk) override {
    std::string events = begin(choice);
    OrderedJson delta = OrderedJson::object();
    if (std::string text = text_of(chunk.parts, true); !text.empty()) {
      delta["reasoning_content"] = std::move(text);
    }
    if (std::string text = text_of(chunk.parts, false); !text.empty()) {
      delta["content"] = std::move(text);
    }
    const bool scores = logprobs_ && !chunk.tokens.empty();
    if (delta.empty() && !scores) return events;
    return events + event(choice, std::move(delta),
                          scores ? chat_logprobs(chunk.tokens, *tokenizer_) : OrderedJson(),
                          nullptr);
  }

  std::string choice_end(int32_t choice, const AnswerEnd& end) override {
    return begin(choice) +
           event(choice, OrderedJson::object(), nullptr, std::string(name(end.reason)));
  }

  std::string stream_end(const Usage& usage) override {
    std::string events;
    if (include_usage_) {
      OrderedJson document = head("chat.completion.chunk");
      document["choices"] = OrderedJson::array();
      document["usage"] = usage_json(usage);
      events = sse(document);
    }
    return events + "data: [DONE]\n\n";
  }

  std::string whole(std::span<const Choice> choices, const Usage& usage) override {
    OrderedJson document = head("chat.completion");
    OrderedJson& list = document["choices"] = OrderedJson::array();
    for (size_t i = 0; i < choices.size(); ++i) {
      const Choice& choice = choices[i];
      OrderedJson message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
      if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
      list.push_back(
          {{"index", i},
           {"message", std::move(message)},
           {"logprobs", logprobs_ ? chat_logprobs(choice.tokens, *tokenizer_) : OrderedJson()},
           {"finish_reason", name(choice.end.reason)}});
    }
    document["usage"] = usage_json(usage);
    return dump(document);
  }

 private:
  OrderedJson head(const char* object) const {
    return {{"id", label_.id},
            {"object", object},
            {"created", label_.created},
            {"model", label_.model}};
  }

  // The first event of an answer says whose it is.
  std::string begin(int32_t choice) {
    if (!begun_.insert(choice).second) return {};
    return event(choice, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
  }

  std::string event(int32_t choice, OrderedJson delta, OrderedJson logprobs,
                    OrderedJson finish_reason) const {
    OrderedJson document = head("chat.completion.chunk");
    document["choices"] = OrderedJson::array({{{"index", choice},
                                               {"delta", std::move(delta)},
                                               {"logprobs", std::move(logprobs)},
                                               {"finish_reason", std::move(finish_reason)}}});
    if (include_usage_) document["usage"] = nullptr;
    return sse(document);
  }

  const AnswerLabel label_;
  const bool logprobs_;
  const bool include_usage_;
  const Tokenizer* tokenizer_;
  std::set<int32_t> begun_;
};

}  // namespace

std::unique_ptr<AnswerWriter> chat_writer(AnswerLabel label, const GenerationRequest& request,
                                          const Tokenizer& tokenizer) {
  return std::make_unique<ChatWriter>(std::move(label), request, tokenizer);
}

}  // namespace fathom::serve

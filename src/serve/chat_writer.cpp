// /v1/chat/completions: chat.completion and chat.completion.chunk. With tools, calls are told from
// the text of an answer as it grows.
#include <map>
#include <set>
#include <utility>

#include "serve/answer_json.h"
#include "serve/answer_writer.h"
#include "text/tool_parser.h"

namespace fathom::serve {
namespace {

class ChatWriter : public AnswerWriter {
 public:
  ChatWriter(AnswerLabel label, const GenerationRequest& request, const Tokenizer& tokenizer,
             std::optional<ToolUse> tools)
      : label_(std::move(label)),
        logprobs_(request.logprobs.has_value()),
        include_usage_(request.include_usage),
        tokenizer_(&tokenizer),
        tools_(std::move(tools)) {}

  std::string chunk(int32_t choice, const AnswerChunk& chunk) override {
    std::string events = begin(choice);
    OrderedJson delta = OrderedJson::object();
    if (std::string text = text_of(chunk.parts, true); !text.empty()) {
      delta["reasoning_content"] = std::move(text);
    }
    std::string text = text_of(chunk.parts, false);
    OrderedJson calls = OrderedJson::array();
    if (tools_) {
      ToolParser& parser = parser_of(choice);
      text = take_calls(choice, parser.push(text), calls);
    }
    return events + deltas(choice, std::move(delta), std::move(text), std::move(calls), chunk);
  }

  std::string choice_end(int32_t choice, const AnswerEnd& end) override {
    std::string events = begin(choice);
    bool called = false;
    if (tools_) {
      ToolParser& parser = parser_of(choice);
      OrderedJson calls = OrderedJson::array();
      std::string text = take_calls(choice, parser.finish(), calls);
      called = parser.calls() > 0;
      events += deltas(choice, OrderedJson::object(), std::move(text), std::move(calls), {});
    }
    return events + event(choice, OrderedJson::object(), nullptr, finish_reason(end, called));
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
      const bool called = tools_ && show_calls(i, choice.text, message);
      list.push_back(
          {{"index", i},
           {"message", std::move(message)},
           {"logprobs", logprobs_ ? chat_logprobs(choice.tokens, *tokenizer_) : OrderedJson()},
           {"finish_reason", finish_reason(choice.end, called)}});
    }
    document["usage"] = usage_json(usage);
    return dump(document);
  }

 private:
  static std::string finish_reason(const AnswerEnd& end, bool called) {
    if (called && end.reason == FinishReason::kStop) return "tool_calls";
    return std::string(name(end.reason));
  }

  OrderedJson head(const char* object) const {
    return {{"id", label_.id},
            {"object", object},
            {"created", label_.created},
            {"model", label_.model}};
  }

  ToolParser new_parser() const { return {tools_->format, tools_->names, tools_->most_calls}; }

  ToolParser& parser_of(int32_t choice) {
    return parsers_.try_emplace(choice, tools_->format, tools_->names, tools_->most_calls)
        .first->second;
  }

  // Splits events into text, which is returned, and deltas of calls.
  std::string take_calls(int32_t choice, const std::vector<ToolEvent>& events, OrderedJson& calls) {
    std::string text;
    int64_t& count = calls_[choice];
    for (const ToolEvent& event : events) {
      if (event.kind == ToolEvent::Kind::kText) {
        text += event.text;
      } else if (event.kind == ToolEvent::Kind::kCall) {
        calls.push_back({{"index", count},
                         {"id", call_id(label_, static_cast<size_t>(choice), count)},
                         {"type", "function"},
                         {"function", {{"name", event.text}, {"arguments", ""}}}});
        ++count;
      } else {
        calls.push_back({{"index", count - 1}, {"function", {{"arguments", event.text}}}});
      }
    }
    return text;
  }

  // Puts the calls of a whole answer into its message. False if there are none.
  bool show_calls(size_t choice, const std::string& text, OrderedJson& message) const {
    ToolParser parser = new_parser();
    std::vector<ToolEvent> events = parser.push(text);
    for (ToolEvent& event : parser.finish()) events.push_back(std::move(event));
    if (parser.calls() == 0) return false;
    std::string content;
    OrderedJson calls = OrderedJson::array();
    for (const ToolEvent& event : events) {
      if (event.kind == ToolEvent::Kind::kText) {
        content += event.text;
      } else if (event.kind == ToolEvent::Kind::kCall) {
        calls.push_back({{"id", call_id(label_, choice, static_cast<int64_t>(calls.size()))},
                         {"type", "function"},
                         {"function", {{"name", event.text}, {"arguments", ""}}}});
      } else {
        OrderedJson& arguments = calls.back()["function"]["arguments"];
        arguments = arguments.get<std::string>() + event.text;
      }
    }
    message["content"] = content.empty() ? OrderedJson() : OrderedJson(content);
    message["tool_calls"] = std::move(calls);
    return true;
  }

  // One event with the text, and one for each delta of a call. The scores go with the first.
  std::string deltas(int32_t choice, OrderedJson delta, std::string text, OrderedJson calls,
                     const AnswerChunk& chunk) const {
    const bool scored = logprobs_ && !chunk.tokens.empty();
    OrderedJson scores = scored ? chat_logprobs(chunk.tokens, *tokenizer_) : OrderedJson();
    if (!text.empty()) delta["content"] = std::move(text);
    std::string events;
    if (!delta.empty() || (scored && calls.empty())) {
      events += event(choice, std::move(delta), std::exchange(scores, {}), nullptr);
    }
    for (OrderedJson& call : calls) {
      events += event(choice, {{"tool_calls", OrderedJson::array({std::move(call)})}},
                      std::exchange(scores, {}), nullptr);
    }
    return events;
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
  const std::optional<ToolUse> tools_;
  std::set<int32_t> begun_;
  std::map<int32_t, ToolParser> parsers_;
  std::map<int32_t, int64_t> calls_;  // told of each answer
};

}  // namespace

std::unique_ptr<AnswerWriter> chat_writer(AnswerLabel label, const GenerationRequest& request,
                                          const Tokenizer& tokenizer,
                                          std::optional<ToolUse> tools) {
  return std::make_unique<ChatWriter>(std::move(label), request, tokenizer, std::move(tools));
}

}  // namespace fathom::serve

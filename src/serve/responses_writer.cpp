// /v1/responses: the response document and its typed, numbered events. A reasoning model's thoughts
// are an item of their own before the message.
#include <utility>

#include "serve/answer_json.h"
#include "serve/answer_writer.h"

namespace fathom::serve {
namespace {

class ResponsesWriter : public AnswerWriter {
 public:
  ResponsesWriter(AnswerLabel label, const ResponsesRequest& request)
      : label_(std::move(label)),
        temperature_(request.generation.temperature),
        top_p_(request.generation.top_p),
        max_tokens_(request.generation.max_tokens),
        instructions_(request.instructions) {}

  std::string chunk(int32_t, const AnswerChunk& chunk) override {
    std::string events = begin();
    for (const TextPart& part : chunk.parts) {
      if (part.text.empty()) continue;
      const auto kind = part.reasoning ? Kind::kReasoning : Kind::kMessage;
      if (open_ != kind) {
        events += close_item();
        events += open_item(kind);
      }
      text_ += part.text;
      OrderedJson event = place();
      event["delta"] = part.text;
      if (kind == Kind::kMessage) event["logprobs"] = OrderedJson::array();
      events += send(delta_name(kind) + ".delta", event);
    }
    return events;
  }

  std::string choice_end(int32_t, const AnswerEnd& end) override {
    reason_ = end.reason;
    std::string events = begin();
    // There is always a message, if an empty one.
    if (open_ != Kind::kMessage) {
      events += close_item();
      events += open_item(Kind::kMessage);
    }
    events += close_item();
    return events;
  }

  std::string stream_end(const Usage& usage) override {
    const bool complete = reason_ == FinishReason::kStop;
    return send(complete ? "response.completed" : "response.incomplete",
                {{"response", document(status(), items_, usage)}});
  }

  std::string stream_error(const ApiError& error) override {
    return send("error", {{"code", error.code.empty() ? "server_error" : error.code},
                          {"message", error.message},
                          {"param", nullptr}});
  }

  std::string whole(std::span<const Choice> choices, const Usage& usage) override {
    const Choice& choice = choices.front();
    reason_ = choice.end.reason;
    OrderedJson items = OrderedJson::array();
    if (!choice.reasoning.empty()) {
      items.push_back(item(Kind::kReasoning, items.size(), "completed", choice.reasoning));
    }
    items.push_back(item(Kind::kMessage, items.size(), status(), choice.text));
    return dump(document(status(), items, usage));
  }

 private:
  enum class Kind { kNone, kReasoning, kMessage };

  static std::string delta_name(Kind kind) {
    return kind == Kind::kReasoning ? "response.reasoning_text" : "response.output_text";
  }

  const char* status() const { return reason_ == FinishReason::kStop ? "completed" : "incomplete"; }

  std::string item_id(Kind kind, size_t index) const {
    return (kind == Kind::kReasoning ? "rs_" : "msg_") + std::to_string(index) + "_" +
           label_.id.substr(label_.id.find('_') + 1);
  }

  static OrderedJson content(Kind kind, const std::string& text) {
    if (kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"},
            {"text", text},
            {"annotations", OrderedJson::array()},
            {"logprobs", OrderedJson::array()}};
  }

  OrderedJson item(Kind kind, size_t index, const char* state, const std::string& text) const {
    OrderedJson parts = OrderedJson::array();
    if (std::string_view(state) != "in_progress") parts.push_back(content(kind, text));
    OrderedJson json = {{"id", item_id(kind, index)},
                        {"type", kind == Kind::kReasoning ? "reasoning" : "message"},
                        {"status", state}};
    if (kind == Kind::kReasoning) {
      json["summary"] = OrderedJson::array();
    } else {
      json["role"] = "assistant";
    }
    json["content"] = std::move(parts);
    return json;
  }

  OrderedJson document(const char* state, const OrderedJson& output,
                       std::optional<Usage> usage) const {
    const auto or_null = [](const auto& value) {
      return value ? OrderedJson(*value) : OrderedJson();
    };
    OrderedJson json = {
        {"id", label_.id},
        {"object", "response"},
        {"created_at", label_.created},
        {"status", state},
        {"error", nullptr},
        {"incomplete_details", nullptr},
        {"instructions", instructions_.empty() ? OrderedJson() : OrderedJson(instructions_)},
        {"max_output_tokens", or_null(max_tokens_)},
        {"model", label_.model},
        {"output", output},
        {"parallel_tool_calls", false},
        {"previous_response_id", nullptr},
        {"store", false},
        {"temperature", or_null(temperature_)},
        {"text", {{"format", {{"type", "text"}}}}},
        {"tool_choice", "none"},
        {"tools", OrderedJson::array()},
        {"top_p", or_null(top_p_)},
        {"truncation", "disabled"},
        {"usage", nullptr},
        {"metadata", OrderedJson::object()}};
    if (std::string_view(state) == "incomplete") {
      json["incomplete_details"] = {{"reason", "max_output_tokens"}};
    }
    if (usage) {
      json["usage"] = {{"input_tokens", usage->prompt_tokens},
                       {"input_tokens_details", {{"cached_tokens", usage->cached_tokens}}},
                       {"output_tokens", usage->completion_tokens},
                       {"output_tokens_details", {{"reasoning_tokens", usage->reasoning_tokens}}},
                       {"total_tokens", usage->prompt_tokens + usage->completion_tokens}};
    }
    return json;
  }

  std::string begin() {
    if (sequence_ != 0) return {};
    const OrderedJson started = document("in_progress", OrderedJson::array(), std::nullopt);
    std::string events = send("response.created", {{"response", started}});
    events += send("response.in_progress", {{"response", started}});
    return events;
  }

  // Where a piece of text belongs.
  OrderedJson place() const {
    return {{"item_id", item_id(open_, items_.size())},
            {"output_index", items_.size()},
            {"content_index", 0}};
  }

  std::string open_item(Kind kind) {
    open_ = kind;
    text_.clear();
    OrderedJson part = place();
    part["part"] = content(kind, "");
    std::string events = send(
        "response.output_item.added",
        {{"output_index", items_.size()}, {"item", item(kind, items_.size(), "in_progress", "")}});
    events += send("response.content_part.added", part);
    return events;
  }

  std::string close_item() {
    if (open_ == Kind::kNone) return {};
    OrderedJson whole_text = place();
    whole_text["text"] = text_;
    if (open_ == Kind::kMessage) whole_text["logprobs"] = OrderedJson::array();
    OrderedJson part = place();
    part["part"] = content(open_, text_);
    const OrderedJson closed = item(open_, items_.size(), "completed", text_);
    std::string events = send(delta_name(open_) + ".done", whole_text);
    events += send("response.content_part.done", part);
    events +=
        send("response.output_item.done", {{"output_index", items_.size()}, {"item", closed}});
    items_.push_back(closed);
    open_ = Kind::kNone;
    return events;
  }

  // Numbers events in the order of its calls: never two of them in one expression.
  std::string send(const std::string& type, const OrderedJson& fields) {
    OrderedJson event = {{"type", type}, {"sequence_number", sequence_++}};
    event.update(fields);
    return sse(type, event);
  }

  const AnswerLabel label_;
  const std::optional<float> temperature_;
  const std::optional<float> top_p_;
  const std::optional<int64_t> max_tokens_;
  const std::string instructions_;
  FinishReason reason_ = FinishReason::kStop;
  int64_t sequence_ = 0;
  Kind open_ = Kind::kNone;
  std::string text_;                          // of the open item
  OrderedJson items_ = OrderedJson::array();  // closed
};

}  // namespace

std::unique_ptr<AnswerWriter> responses_writer(AnswerLabel label, const ResponsesRequest& request) {
  return std::make_unique<ResponsesWriter>(std::move(label), request);
}

}  // namespace fathom::serve

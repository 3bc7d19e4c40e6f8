// /v1/responses: the response document and its typed, numbered events. A reasoning model's thoughts
// are an item of their own before the message, and so is each call of a tool.
#include <utility>

#include "serve/answer_json.h"
#include "serve/answer_writer.h"
#include "text/tool_parser.h"

namespace fathom::serve {
namespace {

class ResponsesWriter : public AnswerWriter {
 public:
  ResponsesWriter(AnswerLabel label, const ResponsesRequest& request,
                  const std::optional<ToolUse>& tools)
      : label_(std::move(label)),
        temperature_(request.generation.temperature),
        top_p_(request.generation.top_p),
        max_tokens_(request.generation.max_tokens),
        instructions_(request.instructions),
        format_(request.format_json.empty() ? OrderedJson{{"type", "text"}}
                                            : OrderedJson::parse(request.format_json)),
        tools_(request.tools.asked_tools),
        tool_choice_(request.tools.asked_choice),
        parallel_(request.tools.parallel) {
    if (tools) parser_.emplace(tools->format, tools->names, tools->most_calls);
  }

  std::string chunk(int32_t, const AnswerChunk& chunk) override {
    std::string events = begin();
    for (const TextPart& part : chunk.parts) {
      if (part.reasoning || !parser_) {
        events += add_text(part.reasoning ? Kind::kReasoning : Kind::kMessage, part.text);
      } else {
        events += add(parser_->push(part.text));
      }
    }
    return events;
  }

  std::string choice_end(int32_t, const AnswerEnd& end) override {
    reason_ = end.reason;
    std::string events = begin();
    if (parser_) events += add(parser_->finish());
    // Where nothing was called there is a message, if an empty one.
    if (open_ != Kind::kMessage && (!parser_ || parser_->calls() == 0)) {
      events += close_item();
      events += open_item(Kind::kMessage);
    }
    events += close_item(true);
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

  // As a stream of one chunk would leave it.
  std::string whole(std::span<const Choice> choices, const Usage& usage) override {
    const Choice& choice = choices.front();
    AnswerChunk all;
    if (!choice.reasoning.empty())
      all.parts.push_back({.text = choice.reasoning, .reasoning = true});
    all.parts.push_back({.text = choice.text, .reasoning = false});
    chunk(0, all);
    choice_end(0, choice.end);
    return dump(document(status(), items_, usage));
  }

 private:
  enum class Kind { kNone, kReasoning, kMessage, kCall };

  static std::string delta_name(Kind kind) {
    if (kind == Kind::kCall) return "response.function_call_arguments";
    return kind == Kind::kReasoning ? "response.reasoning_text" : "response.output_text";
  }

  const char* status() const { return reason_ == FinishReason::kStop ? "completed" : "incomplete"; }

  std::string item_id(Kind kind, size_t index) const {
    return (kind == Kind::kReasoning ? "rs_"
            : kind == Kind::kCall    ? "fc_"
                                     : "msg_") +
           std::to_string(index) + "_" + label_.id.substr(label_.id.find('_') + 1);
  }

  static OrderedJson content(Kind kind, const std::string& text) {
    if (kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"},
            {"text", text},
            {"annotations", OrderedJson::array()},
            {"logprobs", OrderedJson::array()}};
  }

  OrderedJson item(Kind kind, size_t index, const char* state, const std::string& text) const {
    if (kind == Kind::kCall) {
      return {{"id", item_id(kind, index)},
              {"type", "function_call"},
              {"status", state},
              {"call_id", call_id(label_, 0, calls_ - 1)},
              {"name", call_name_},
              {"arguments", text}};
    }
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
        {"parallel_tool_calls", parallel_},
        {"previous_response_id", nullptr},
        {"store", false},
        {"temperature", or_null(temperature_)},
        {"text", {{"format", format_}}},
        {"tool_choice", tool_choice_},
        {"tools", tools_},
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

  std::string add(const std::vector<ToolEvent>& parsed) {
    std::string events;
    for (const ToolEvent& event : parsed) {
      if (event.kind == ToolEvent::Kind::kCall) {
        events += close_item();
        call_name_ = event.text;
        ++calls_;
        events += open_item(Kind::kCall);
      } else {
        const bool text = event.kind == ToolEvent::Kind::kText;
        events += add_text(text ? Kind::kMessage : Kind::kCall, event.text);
      }
    }
    return events;
  }

  std::string add_text(Kind kind, const std::string& text) {
    if (text.empty()) return {};
    std::string events;
    if (open_ != kind) {
      events += close_item();
      events += open_item(kind);
    }
    text_ += text;
    OrderedJson event = place();
    event["delta"] = text;
    if (kind == Kind::kMessage) event["logprobs"] = OrderedJson::array();
    events += send(delta_name(kind) + ".delta", event);
    return events;
  }

  // Where a piece of text belongs.
  OrderedJson place() const {
    OrderedJson place = {{"item_id", item_id(open_, items_.size())},
                         {"output_index", items_.size()}};
    if (open_ != Kind::kCall) place["content_index"] = 0;
    return place;
  }

  std::string open_item(Kind kind) {
    open_ = kind;
    text_.clear();
    std::string events = send(
        "response.output_item.added",
        {{"output_index", items_.size()}, {"item", item(kind, items_.size(), "in_progress", "")}});
    if (kind == Kind::kCall) return events;
    OrderedJson part = place();
    part["part"] = content(kind, "");
    events += send("response.content_part.added", part);
    return events;
  }

  std::string close_item(bool last = false) {
    if (open_ == Kind::kNone) return {};
    OrderedJson whole_text = place();
    whole_text[open_ == Kind::kCall ? "arguments" : "text"] = text_;
    if (open_ == Kind::kCall) whole_text["name"] = call_name_;
    if (open_ == Kind::kMessage) whole_text["logprobs"] = OrderedJson::array();
    std::string events = send(delta_name(open_) + ".done", whole_text);
    if (open_ != Kind::kCall) {
      OrderedJson part = place();
      part["part"] = content(open_, text_);
      events += send("response.content_part.done", part);
    }
    // What was cut off is the last item.
    const bool cut = last && reason_ != FinishReason::kStop;
    const OrderedJson closed = item(open_, items_.size(), cut ? "incomplete" : "completed", text_);
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
  const OrderedJson format_;
  const OrderedJson tools_;
  const OrderedJson tool_choice_;
  const bool parallel_;
  std::optional<ToolParser> parser_;  // without tools, none
  std::string call_name_;             // of the last call
  int64_t calls_ = 0;
  FinishReason reason_ = FinishReason::kStop;
  int64_t sequence_ = 0;
  Kind open_ = Kind::kNone;
  std::string text_;                          // of the open item
  OrderedJson items_ = OrderedJson::array();  // closed
};

}  // namespace

std::unique_ptr<AnswerWriter> responses_writer(AnswerLabel label, const ResponsesRequest& request,
                                               const std::optional<ToolUse>& tools) {
  return std::make_unique<ResponsesWriter>(std::move(label), request, tools);
}

}  // namespace fathom::serve

// Tools over real connections. The model says nonsense, so it is made to call (tool_choice); what
// answers of other models come to is tested on the writers, with their texts.
#include <gtest/gtest.h>

#include <map>

#include "serve/answer_writer.h"
#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::events_of;
using test::Json;
using test::status_of;
using test::TestServer;

constexpr auto kTemplate =
    "{% if tools %}{{ tools | tojson }} Call by <tool_call>.\n{% endif %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% for c in m.tool_calls or [] %}"
    "<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}\n{% endfor %}[assistant]";

test::ServerOptions with_tools() {
  return {.chat_template = kTemplate};
}

const Json kParameters = {{"type", "object"},
                          {"properties",
                           {{"unit", {{"enum", {"celsius", "kelvin"}}}},
                            {"days", {{"type", "integer"}, {"minimum", 1}, {"maximum", 9}}}}},
                          {"required", {"unit", "days"}},
                          {"additionalProperties", false}};

Json tools() {
  Json list = Json::array();
  for (const char* name : {"get_weather", "get_tides"}) {
    list.push_back(
        {{"type", "function"}, {"function", {{"name", name}, {"parameters", kParameters}}}});
  }
  return list;
}

Json chat_body() {
  return {{"messages", {{{"role", "user"}, {"content", "How will it be?"}}}},
          {"max_tokens", 2000},
          {"temperature", 1},
          {"seed", 3},
          {"logit_bias", {{"3", -100}}},  // no thoughts, which would not end in this model
          {"tools", tools()},
          {"tool_choice", "required"},
          {"parallel_tool_calls", false}};
}

void expect_call(const Json& function) {
  const std::string name = function["name"];
  EXPECT_TRUE(name == "get_weather" || name == "get_tides") << name;
  const Json arguments = Json::parse(function["arguments"].get<std::string>(), nullptr, false);
  ASSERT_TRUE(arguments.is_object()) << function;
  EXPECT_EQ(arguments.size(), 2U) << function;
  EXPECT_TRUE(arguments["unit"] == "celsius" || arguments["unit"] == "kelvin") << function;
  EXPECT_TRUE(arguments["days"].is_number_integer()) << function;
}

TEST(ToolCalls, AreMadeWhereTheyAreRequired) {
  const TestServer server(with_tools());
  const Json answer = server.post_json("/v1/chat/completions", chat_body());
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const Json& calls = choice["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0]["type"], "function");
  EXPECT_TRUE(calls[0]["id"].get<std::string>().starts_with("call_"));
  expect_call(calls[0]["function"]);
}

TEST(ToolCalls, StreamWhatTheyWouldBeWhole) {
  const TestServer server(with_tools());
  Json body = chat_body();
  body["n"] = 2;
  const Json whole = server.post_json("/v1/chat/completions", body);
  body["stream"] = true;
  std::map<int, Json> calls;
  std::map<int, std::string> arguments;
  std::map<int, std::string> reasons;
  int pieces = 0;
  for (const Json& event : events_of(server.post("/v1/chat/completions", body.dump()))) {
    const Json& choice = event["choices"][0];
    const int index = choice["index"];
    if (!choice["finish_reason"].is_null()) reasons[index] = choice["finish_reason"];
    for (const Json& call : choice["delta"].value("tool_calls", Json::array())) {
      EXPECT_EQ(call["index"], 0);
      if (call.contains("id")) calls[index] = call;
      arguments[index] += call["function"]["arguments"].get<std::string>();
      ++pieces;
    }
  }
  EXPECT_GT(pieces, 6);
  for (int i = 0; i < 2; ++i) {
    const Json& wanted = whole["choices"][i]["message"]["tool_calls"][0]["function"];
    EXPECT_EQ(calls[i]["function"]["name"], wanted["name"]);
    EXPECT_EQ(wanted["arguments"], arguments[i]);
    EXPECT_EQ(reasons[i], "tool_calls");
  }
  EXPECT_NE(calls[0]["id"], calls[1]["id"]);
}

TEST(ToolCalls, CallTheFunctionThatIsNamed) {
  const TestServer server(with_tools());
  Json body = chat_body();
  for (int seed = 0; seed < 4; ++seed) {
    body["seed"] = seed;
    body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "get_tides"}}}};
    const Json answer = server.post_json("/v1/chat/completions", body);
    const Json& calls = answer["choices"][0]["message"]["tool_calls"];
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0]["function"]["name"], "get_tides");
    expect_call(calls[0]["function"]);
  }
}

TEST(ToolCalls, AreForcedInEveryFormat) {
  for (const ToolFormat format :
       {ToolFormat::kDeepSeek, ToolFormat::kDeepSeekV31, ToolFormat::kJson}) {
    test::ServerOptions options = with_tools();
    options.serve.tool_format = format;
    const TestServer server(options);
    // This vocabulary has no marks of DeepSeek's and no byte of them, so they cannot be said.
    const std::string response = server.post("/v1/chat/completions", chat_body().dump());
    if (format == ToolFormat::kJson) {
      ASSERT_EQ(status_of(response), 200) << response;
      const Json answer = Json::parse(body_of(response));
      expect_call(answer["choices"][0]["message"]["tool_calls"][0]["function"]);
    } else {
      ASSERT_EQ(status_of(response), 400) << response;
      const Json error = Json::parse(body_of(response))["error"];
      EXPECT_EQ(error["param"], "tool_choice");
      EXPECT_NE(error["message"].get<std::string>().find("calls"), std::string::npos) << error;
    }
  }
}

TEST(ToolCalls, GoTogetherWithASchemaThatOtherAnswersObey) {
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kJson}) {
    test::ServerOptions options = with_tools();
    options.serve.tool_format = format;
    const TestServer server(options);
    Json body = chat_body();
    body["tool_choice"] = "auto";
    body["response_format"] = {{"type", "json_schema"},
                               {"json_schema",
                                {{"name", "verdict"},
                                 {"schema",
                                  {{"type", "object"},
                                   {"properties", {{"verdict", {{"enum", {"yes", "no"}}}}}},
                                   {"required", {"verdict"}},
                                   {"additionalProperties", false}}}}}};
    int calls = 0;
    int documents = 0;
    for (int seed = 0; seed < 40; ++seed) {
      body["seed"] = seed;
      const Json choice = server.post_json("/v1/chat/completions", body)["choices"][0];
      if (choice["message"].contains("tool_calls")) {
        ++calls;
        EXPECT_EQ(choice["finish_reason"], "tool_calls");
        expect_call(choice["message"]["tool_calls"][0]["function"]);
      } else {
        ++documents;
        EXPECT_EQ(choice["finish_reason"], "stop");
        const Json said =
            Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false);
        EXPECT_TRUE(said["verdict"] == "yes" || said["verdict"] == "no") << choice;
      }
    }
    EXPECT_GT(calls, 0);
    EXPECT_GT(documents, 0);
    body["tool_choice"] = "required";
    expect_call(server.post_json("/v1/chat/completions",
                                 body)["choices"][0]["message"]["tool_calls"][0]["function"]);
  }
}

TEST(ToolCalls, OfStrictFunctionsObeyTheirSchemasOnceTheyBegin) {
  const TestServer server(with_tools());
  Json body = chat_body();
  body["tool_choice"] = "auto";
  for (Json& tool : body["tools"]) tool["function"]["strict"] = true;
  const Json free = server.post_json("/v1/chat/completions", body)["choices"][0];
  EXPECT_FALSE(free["message"].contains("tool_calls"))
      << "a model that wants nothing says anything";
  EXPECT_FALSE(free["message"]["content"].get<std::string>().empty());
}

TEST(ToolCalls, AreNoneWhereTheyMayNotBe) {
  const TestServer server(with_tools());
  Json body = chat_body();
  body["max_tokens"] = 20;
  body["tool_choice"] = "none";
  const Json without = server.post_json("/v1/chat/completions", body);
  EXPECT_FALSE(without["choices"][0]["message"].contains("tool_calls"));
  body["tool_choice"] = "auto";
  const Json with = server.post_json("/v1/chat/completions", body);
  // The model is told of tools that it may call.
  EXPECT_GT(with["usage"]["prompt_tokens"], without["usage"]["prompt_tokens"].get<int>() + 100);
}

TEST(ToolCalls, OfEarlierTurnsAreShownToTheModel) {
  const TestServer server(with_tools());
  Json body = chat_body();
  const Json first = server.post_json("/v1/chat/completions", body);
  const Json& message = first["choices"][0]["message"];
  body["messages"].push_back(message);
  body["messages"].push_back(
      {{"role", "tool"}, {"tool_call_id", message["tool_calls"][0]["id"]}, {"content", "Rain."}});
  const Json second = server.post_json("/v1/chat/completions", body);
  const int added =
      second["usage"]["prompt_tokens"].get<int>() - first["usage"]["prompt_tokens"].get<int>();
  const Json& function = message["tool_calls"][0]["function"];
  EXPECT_GT(added, static_cast<int>(function["arguments"].get<std::string>().size()));
}

TEST(ToolCalls, AreItemsOfResponses) {
  const TestServer server(with_tools());
  Json flat = Json::array();
  for (const Json& tool : tools()) {
    flat.push_back({{"type", "function"},
                    {"name", tool["function"]["name"]},
                    {"parameters", tool["function"]["parameters"]},
                    {"strict", true}});
  }
  Json body = {{"input", "How will it be?"},
               {"max_output_tokens", 2000},
               {"temperature", 1},
               {"seed", 5},
               {"logit_bias", {{"3", -100}}},
               {"tools", flat},
               {"tool_choice", "required"},
               {"parallel_tool_calls", false}};
  const Json whole = server.post_json("/v1/responses", body);
  EXPECT_EQ(whole["status"], "completed");
  EXPECT_EQ(whole["tool_choice"], "required");
  EXPECT_EQ(whole["tools"], flat);
  ASSERT_EQ(whole["output"].size(), 1U);
  const Json item = whole["output"][0];
  EXPECT_EQ(item["type"], "function_call");
  expect_call(item);

  body["stream"] = true;
  std::string arguments;
  std::map<std::string, int> types;
  Json last;
  for (const Json& event : events_of(server.post("/v1/responses", body.dump()), false)) {
    const std::string type = event["type"];
    ++types[type];
    if (type == "response.function_call_arguments.delta") {
      arguments += event["delta"].get<std::string>();
    }
    last = event;
  }
  EXPECT_EQ(item["arguments"], arguments);
  EXPECT_EQ(types["response.output_item.added"], 1);
  EXPECT_EQ(types["response.output_item.done"], 1);
  EXPECT_EQ(types["response.function_call_arguments.done"], 1);
  EXPECT_EQ(types["response.content_part.added"], 0);
  EXPECT_EQ(last["response"]["output"][0]["arguments"], item["arguments"]);

  body.erase("stream");
  body["tool_choice"] = "none";
  body["input"] = Json::array({{{"role", "user"}, {"content", "How will it be?"}}});
  body["input"].push_back(item);
  body["input"].push_back(
      {{"type", "function_call_output"}, {"call_id", item["call_id"]}, {"output", "Rain."}});
  body["max_output_tokens"] = 10;
  EXPECT_EQ(server.post_json("/v1/responses", body)["output"][0]["type"], "message");
}

TEST(ToolCalls, AreRefusedWhereTheTemplateKnowsNone) {
  const TestServer server;
  const std::string response = server.post("/v1/chat/completions", chat_body().dump());
  EXPECT_EQ(status_of(response), 400) << response;
  EXPECT_EQ(Json::parse(body_of(response))["error"]["param"], "tools");
}

// What a stream's events come to: {content, calls, finish_reason}.
Json collected(AnswerWriter& writer, const std::vector<std::string>& pieces, FinishReason reason) {
  std::string stream;
  for (const std::string& piece : pieces) {
    stream += writer.chunk(0, {.answer = 0, .parts = {{.text = piece}}, .tokens = {}});
  }
  AnswerEnd end;
  end.reason = reason;
  stream += writer.choice_end(0, end) + writer.stream_end({});
  Json all = {{"content", ""}, {"calls", Json::array()}, {"finish_reason", nullptr}};
  for (const Json& event : events_of("\r\n\r\n" + stream)) {
    const Json& choice = event["choices"][0];
    const Json& delta = choice["delta"];
    all["content"] = all["content"].get<std::string>() + delta.value("content", "");
    for (const Json& call : delta.value("tool_calls", Json::array())) {
      const size_t index = call["index"];
      if (call.contains("id")) all["calls"].push_back(call["function"]);
      Json& arguments = all["calls"][index]["arguments"];
      if (!call.contains("id")) {
        arguments = arguments.get<std::string>() + call["function"]["arguments"].get<std::string>();
      }
    }
    if (!choice["finish_reason"].is_null()) all["finish_reason"] = choice["finish_reason"];
  }
  return all;
}

class ChatWriterWithTools : public testing::Test {
 protected:
  std::unique_ptr<AnswerWriter> writer(int64_t most_calls = kMostTools) {
    return chat_writer({.id = "chatcmpl-1", .model = "m"}, {}, *tokenizer_,
                       ToolUse{.format = ToolFormat::kHermes,
                               .names = {"get_weather", "get_tides"},
                               .most_calls = most_calls});
  }
  Json whole(const std::string& text, FinishReason reason) {
    Choice choice;
    choice.text = text;
    choice.end.reason = reason;
    return Json::parse(writer()->whole({&choice, 1}, {}))["choices"][0];
  }

 private:
  std::unique_ptr<Tokenizer> tokenizer_ = [] {
    TextSource source;
    source.tokenizer_json =
        test::read_file(std::filesystem::path(test::talking_model()) / "tokenizer.json");
    return *Tokenizer::make(source);
  }();
};

TEST_F(ChatWriterWithTools, ShowsTextAndSeveralCalls) {
  const std::string text =
      "I look.\n<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"days\": 1}}</tool_call>\n"
      "<tool_call>{\"name\": \"get_tides\", \"arguments\": {}}</tool_call>";
  const Json wanted = {{{"name", "get_weather"}, {"arguments", "{\"days\": 1}"}},
                       {{"name", "get_tides"}, {"arguments", "{}"}}};
  std::vector<std::string> pieces;
  for (size_t i = 0; i < text.size(); i += 7) pieces.push_back(text.substr(i, 7));
  const auto streaming = writer();
  const Json streamed = collected(*streaming, pieces, FinishReason::kStop);
  EXPECT_EQ(streamed["content"], "I look.");
  EXPECT_EQ(streamed["calls"], wanted);
  EXPECT_EQ(streamed["finish_reason"], "tool_calls");
  const Json choice = whole(text, FinishReason::kStop);
  EXPECT_EQ(choice["message"]["content"], "I look.");
  EXPECT_EQ(choice["message"]["tool_calls"][1]["function"], wanted[1]);
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
}

TEST_F(ChatWriterWithTools, ShowsACallThatWasCutOff) {
  const auto streaming = writer();
  const Json streamed =
      collected(*streaming, {"<tool_call>{\"name\": \"get_tides\", \"argum", "ents\": {\"days\": "},
                FinishReason::kLength);
  EXPECT_EQ(streamed["calls"], Json({{{"name", "get_tides"}, {"arguments", "{\"days\": "}}}));
  EXPECT_EQ(streamed["finish_reason"], "length");
}

TEST_F(ChatWriterWithTools, ShowsABrokenCallAsText) {
  const std::string text = "<tool_call>get_weather(1)</tool_call>";
  const auto streaming = writer();
  const Json streamed = collected(*streaming, {text}, FinishReason::kStop);
  EXPECT_EQ(streamed["content"], text);
  EXPECT_EQ(streamed["calls"], Json::array());
  EXPECT_EQ(streamed["finish_reason"], "stop");
  EXPECT_EQ(whole(text, FinishReason::kStop)["message"]["content"], text);
}

}  // namespace
}  // namespace fathom::serve

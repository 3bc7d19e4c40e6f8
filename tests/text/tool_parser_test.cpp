#include "text/tool_parser.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

using Events = std::vector<ToolEvent>;
using Kind = ToolEvent::Kind;

// Neighbours of a kind together, as they would be if the text had come at once.
void append(Events& all, const Events& more) {
  for (const ToolEvent& event : more) {
    if (!all.empty() && event.kind == all.back().kind && event.kind != Kind::kCall) {
      all.back().text += event.text;
    } else {
      all.push_back(event);
    }
  }
}

std::vector<std::string> tools() {
  return {"get_weather", "get_time", "send"};
}

Events parse(ToolFormat format, const std::vector<std::string>& pieces, int64_t most_calls = 128) {
  ToolParser parser(format, tools(), most_calls);
  Events all;
  for (const std::string& piece : pieces) append(all, parser.push(piece));
  append(all, parser.finish());
  return all;
}

std::string shown(const Events& events) {
  std::string text;
  for (const ToolEvent& event : events) {
    text += event.kind == Kind::kText ? "text(" : event.kind == Kind::kCall ? "call(" : "args(";
    text += event.text + ")";
  }
  return text;
}

// Whole, in two pieces cut at each byte, and a byte at a time.
void expect_parsed(ToolFormat format, const std::string& text, const std::string& wanted) {
  EXPECT_EQ(shown(parse(format, {text})), wanted) << text;
  for (size_t cut = 1; cut < text.size(); ++cut) {
    ASSERT_EQ(shown(parse(format, {text.substr(0, cut), text.substr(cut)})), wanted)
        << text << "\ncut at " << cut;
  }
  std::vector<std::string> bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  EXPECT_EQ(shown(parse(format, bytes)), wanted) << text;
}

void expect_hermes(const std::string& text, const std::string& wanted) {
  expect_parsed(ToolFormat::kHermes, text, wanted);
}

// Both DeepSeek formats are told apart by what stands there.
void expect_deepseek(const std::string& text, const std::string& wanted) {
  expect_parsed(ToolFormat::kDeepSeek, text, wanted);
  expect_parsed(ToolFormat::kDeepSeekV31, text, wanted);
}

TEST(ToolParser, ReadsAHermesCall) {
  expect_hermes(
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n"
      "</tool_call>",
      "call(get_weather)args({\"city\": \"Paris\"})");
}

TEST(ToolParser, KeepsTheTextAroundHermesCalls) {
  expect_hermes(
      "Let me look.\n\n<tool_call>{\"name\":\"get_time\",\"arguments\":{}}</tool_call>\n"
      "<tool_call>{\"name\":\"send\",\"arguments\":{\"a\":[1,{\"b\":2}]}}</tool_call>\n"
      "  Done. \n",
      "text(Let me look.)call(get_time)args({})call(send)args({\"a\":[1,{\"b\":2}]})"
      "text(Done. \n)");
}

TEST(ToolParser, LeavesTextWithoutCallsAsItIs) {
  for (const char* text : {"", " ", "Hello, world.\n", "  two  spaces  \n\n", "a < b and <tool",
                           "<tool_calls> is no mark </tool_call>", "{\"name\": \"no call\"}",
                           "<｜tool▁", "Grüße, 你好"}) {
    const std::string wanted = std::string(text).empty() ? "" : "text(" + std::string(text) + ")";
    expect_hermes(text, wanted);
    expect_deepseek(text, wanted);
    expect_parsed(ToolFormat::kJson, text, wanted);
  }
}

TEST(ToolParser, ReadsStringsThatHoldMarksQuotesAndBrackets) {
  const std::string arguments =
      R"({"text": "</tool_call> <tool_call> \"}]{[ \\", "<｜tool▁call▁end｜>": "\\\"}"})";
  expect_hermes("<tool_call>{\"name\": \"send\", \"arguments\": " + arguments + "}</tool_call>",
                "call(send)args(" + arguments + ")");
  expect_deepseek("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>send<｜tool▁sep｜>" + arguments +
                      "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                  "call(send)args(" + arguments + ")");
}

TEST(ToolParser, TakesTheFieldsOfACallInAnyOrderAndSpelling) {
  expect_hermes("<tool_call>{\"arguments\": {\"x\": 1}, \"id\": 7, \"name\": \"send\"}</tool_call>",
                "call(send)args({\"x\": 1})");
  expect_hermes("<tool_call>{\"name\": \"send\", \"parameters\": {\"x\": 1}}</tool_call>",
                "call(send)args({\"x\": 1})");
  expect_hermes("<tool_call>{\"type\": \"function\", \"name\": \"g\\u0065t\"}</tool_call>",
                "call(get)args({})");
  // Arguments as a string that holds their JSON, and none at all.
  expect_hermes(R"(<tool_call>{"name": "send", "arguments": "{\"x\": \"\\n\"}"}</tool_call>)",
                R"(call(send)args({"x": "\n"}))");
  expect_hermes("<tool_call>{\"name\": \"send\", \"arguments\": null}</tool_call>",
                "call(send)args({})");
}

TEST(ToolParser, GivesBackAsTextWhatBreaksBeforeItsNameIsKnown) {
  for (const char* text :
       {"<tool_call>get_weather(Paris)</tool_call>", "<tool_call>{\"name\": 5}</tool_call> x",
        "<tool_call>{\"arguments\": {}}</tool_call>", "<tool_call>", " <tool_call>\n {\"na",
        "Hm <tool_call>{\"name\": \"get", "<tool_call>[1]", "<tool_call>{}</tool_call>",
        "<tool_call>{\"name\": \"\"}"}) {
    expect_hermes(text, "text(" + std::string(text) + ")");
  }
  expect_hermes("<tool_call>oops <tool_call>{\"name\": \"send\"}</tool_call>",
                "text(<tool_call>oops)call(send)args({})");
}

TEST(ToolParser, EndsACallThatBreaksLaterWithTheArgumentsSoFar) {
  expect_hermes("<tool_call>{\"name\": \"send\", \"arguments\": {\"a\": \"b",
                "call(send)args({\"a\": \"b)");
  expect_hermes("<tool_call>{\"name\": \"send\", \"arguments\": {} nonsense } </tool_call> Bye.",
                "call(send)args({})text(Bye.)");
  expect_hermes("<tool_call>{\"name\": \"send\", \"arguments\": {}}}</tool_call> Bye.",
                "call(send)args({})text(Bye.)");
  expect_hermes("<tool_call>{\"name\": \"send\", \"arguments\": {}} Bye.",
                "call(send)args({})text(Bye.)");
  expect_hermes("<tool_call>{\"name\": \"send\", : <tool_call>{\"name\": \"get\"}</tool_call>",
                "call(send)call(get)args({})");
}

TEST(ToolParser, TellsArgumentsAsTheyGrow) {
  ToolParser parser(ToolFormat::kHermes, tools());
  EXPECT_TRUE(parser.push("<tool_call>\n{\"name\": \"send").empty());
  EXPECT_EQ(parser.push("\", \"arg"), (Events{{Kind::kCall, "send"}}));
  EXPECT_EQ(parser.push("uments\": {\"text\": \"A lo"),
            (Events{{Kind::kArguments, "{\"text\": \"A lo"}}));
  EXPECT_EQ(parser.push("ng story\"}"), (Events{{Kind::kArguments, "ng story\"}"}}));
  EXPECT_TRUE(parser.push("}\n</tool_call>").empty());
  EXPECT_TRUE(parser.finish().empty());
  EXPECT_EQ(parser.calls(), 1);
}

TEST(ToolParser, ReadsDeepSeekV3Calls) {
  expect_deepseek(
      "I look it up.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>"
      "get_weather\n```json\n{\"city\": \"Paris\"}\n```<｜tool▁call▁end｜>\n"
      "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```"
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
      "text(I look it up.)call(get_weather)args({\"city\": \"Paris\"})"
      "call(get_time)args({})");
}

TEST(ToolParser, ReadsDeepSeekV31Calls) {
  expect_deepseek(
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
      "{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>"
      "{\"zone\": {\"a\": []}}<｜tool▁call▁end｜><｜tool▁calls▁end｜> Done.",
      "call(get_weather)args({\"city\": \"Paris\"})"
      "call(get_time)args({\"zone\": {\"a\": []}})text(Done.)");
}

TEST(ToolParser, SurvivesBrokenDeepSeekCalls) {
  for (const char* text :
       {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁begin｜> no call", "<｜tool▁call▁begin｜>function",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get",
        "<｜tool▁call▁begin｜><｜tool▁sep｜>{}", "x <｜tool▁call▁begin｜>a<｜tool▁call▁end｜>"}) {
    expect_deepseek(text, "text(" + std::string(text) + ")");
  }
  const std::string long_name(400, 'n');
  expect_deepseek("<｜tool▁call▁begin｜>" + long_name + "<｜tool▁sep｜>{}",
                  "text(<｜tool▁call▁begin｜>" + long_name + "<｜tool▁sep｜>{})");
  expect_deepseek("<｜tool▁call▁begin｜>f<｜tool▁sep｜>" + long_name + "\n{}",
                  "text(<｜tool▁call▁begin｜>f<｜tool▁sep｜>" + long_name + "\n{})");
  expect_deepseek("<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time<｜tool▁call▁end｜> So.",
                  "call(get_time)args({})text(So.)");
  expect_deepseek(
      "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n[1]\n```"
      "<｜tool▁call▁end｜>",
      "call(get_time)args({})");
  expect_deepseek("<｜tool▁call▁begin｜>send<｜tool▁sep｜>{\"a\": [1, ",
                  "call(send)args({\"a\": [1, )");
}

TEST(ToolParser, ReadsLlamaCallsOfToolsThatThereAre) {
  const auto expect_json = [](const std::string& text, const std::string& wanted) {
    expect_parsed(ToolFormat::kJson, text, wanted);
  };
  expect_json("{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}",
              "call(get_weather)args({\"city\": \"Paris\"})");
  expect_json(
      "\n<|python_tag|>{\"name\": \"get_time\", \"parameters\": {}}; "
      "{\"name\": \"send\", \"parameters\": {\"a\": 1}}",
      "call(get_time)args({})call(send)args({\"a\": 1})");
  for (const char* text :
       {" {\"name\": \"Ada\", \"born\": 1815}", "{\"title\": 1}", "Here: {\"name\": \"send\"}",
        "{not json}", "<|python", "{\"name\": \"send"}) {
    expect_json(text, "text(" + std::string(text) + ")");
  }
}

TEST(ToolParser, DropsCallsBeyondTheMostThatAreWanted) {
  const std::string call = "<tool_call>{\"name\": \"send\", \"arguments\": {}}</tool_call>\n";
  EXPECT_EQ(shown(parse(ToolFormat::kHermes, {call + call + "Bye."}, 1)),
            "call(send)args({})text(Bye.)");
}

// No text, however odd, may change with its cuts, or lose what is no part of a call.
TEST(ToolParser, GivesTheSameForEveryCutOfRandomPieces) {
  const std::vector<std::string> parts = {"<tool_call>",
                                          "</tool_call>",
                                          "{\"name\": ",
                                          "\"send\"",
                                          ", \"arguments\": ",
                                          "{",
                                          "}",
                                          "\"",
                                          "\\",
                                          " ",
                                          "\n",
                                          "text",
                                          "<｜tool▁calls▁begin｜>",
                                          "<｜tool▁call▁begin｜>",
                                          "<｜tool▁sep｜>",
                                          "<｜tool▁call▁end｜>",
                                          "<｜tool▁calls▁end｜>",
                                          "```json",
                                          "function",
                                          "null",
                                          "[",
                                          "]",
                                          "<",
                                          ";"};
  uint32_t state = 1;
  const auto random = [&state] { return (state = state * 1664525 + 1013904223) >> 16; };
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (uint32_t n = random() % 14; n > 0; --n) text += parts[random() % parts.size()];
    for (const ToolFormat format :
         {ToolFormat::kHermes, ToolFormat::kDeepSeek, ToolFormat::kJson}) {
      const std::string whole = shown(parse(format, {text}));
      for (size_t cut = 1; cut < text.size(); ++cut) {
        ASSERT_EQ(shown(parse(format, {text.substr(0, cut), text.substr(cut)})), whole)
            << text << "\ncut at " << cut;
      }
    }
  }
}

}  // namespace
}  // namespace fathom

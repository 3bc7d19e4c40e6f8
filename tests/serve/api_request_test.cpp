#include "serve/api_request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace fathom::serve {
namespace {

struct BadBody {
  const char* body;
  const char* param;  // that the error names
};

template <typename T>
void expect_refused(ApiResult<T> (*parse)(std::string_view), const std::vector<BadBody>& cases) {
  for (const auto& [body, param] : cases) {
    const auto result = parse(body);
    ASSERT_FALSE(result) << body;
    EXPECT_EQ(result.error().status, 400) << body;
    EXPECT_EQ(result.error().param, param) << body << "\n" << result.error().message;
    EXPECT_FALSE(result.error().message.empty());
  }
}

std::string chat(const std::string& fields) {
  return R"({"messages":[{"role":"user","content":"Hi"}])" + fields + "}";
}

TEST(ChatRequest, ReadsEveryFieldThatIsBuilt) {
  const auto request = parse_chat_request(R"({
    "model": "m", "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1,
    "repetition_penalty": 1.1, "presence_penalty": -0.5, "frequency_penalty": 0.25, "seed": 42,
    "logit_bias": {"5": -100, "7": 1.5}, "stop": ["a", "b"], "max_completion_tokens": 9, "n": 3,
    "logprobs": true, "top_logprobs": 4, "stream": true, "stream_options": {"include_usage": true},
    "user": "somebody", "safety_identifier": "h4", "prompt_cache_key": "k", "tools": [], "tool_choice": "none", "response_format": {"type": "text"},
    "messages": [{"role": "developer", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "text", "text": "a"},
                                              {"type": "text", "text": "b"}]},
                 {"role": "assistant", "content": "c", "reasoning_content": "d"},
                 {"role": "user", "content": "e", "name": "Eve"}]})");
  ASSERT_TRUE(request) << request.error().message;
  const GenerationRequest& generation = request->generation;
  EXPECT_EQ(generation.model, "m");
  EXPECT_EQ(generation.n, 3);
  EXPECT_EQ(generation.logprobs, 4);
  EXPECT_TRUE(generation.stream);
  EXPECT_TRUE(generation.include_usage);
  const GenerateOptions options = generation.options({});
  EXPECT_FLOAT_EQ(options.sampling.temperature, 0.5F);
  EXPECT_FLOAT_EQ(options.sampling.top_p, 0.9F);
  EXPECT_EQ(options.sampling.top_k, 7);
  EXPECT_FLOAT_EQ(options.sampling.min_p, 0.1F);
  EXPECT_FLOAT_EQ(options.sampling.repeat_penalty, 1.1F);
  EXPECT_FLOAT_EQ(options.sampling.presence_penalty, -0.5F);
  EXPECT_FLOAT_EQ(options.sampling.frequency_penalty, 0.25F);
  EXPECT_EQ(options.sampling.seed, 42U);
  ASSERT_EQ(options.sampling.logit_bias.size(), 2U);
  EXPECT_EQ(options.sampling.logit_bias[1].token, 7);
  EXPECT_FLOAT_EQ(options.sampling.logit_bias[1].bias, 1.5F);
  EXPECT_EQ(options.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.max_tokens, 9);
  ASSERT_EQ(request->messages.size(), 4U);
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].content, "ab");
  EXPECT_EQ(request->messages[2].reasoning_content, "d");
}

TEST(ChatRequest, LeavesToTheModelsMakersWhatIsNotSaid) {
  const auto request = parse_chat_request(chat(R"(,"temperature":null,"stop":null)"));
  ASSERT_TRUE(request) << request.error().message;
  SamplingOptions advice;
  advice.temperature = 0.3F;
  advice.top_k = 11;
  const GenerateOptions options = request->generation.options(advice);
  EXPECT_FLOAT_EQ(options.sampling.temperature, 0.3F);
  EXPECT_EQ(options.sampling.top_k, 11);
  EXPECT_EQ(options.max_tokens, -1);
}

TEST(ChatRequest, RefusesBodiesThatAreNoUsableJson) {
  expect_refused(parse_chat_request, {{"", ""},
                                      {"{", ""},
                                      {"[]", ""},
                                      {"null", ""},
                                      {"\"text\"", ""},
                                      {"{} {}", ""},
                                      {"{'a': 1}", ""},
                                      {"{\"messages\":[],\"messages\":[]}", ""},
                                      {"{\"user\":\"\xff\"}", ""},
                                      {"{\"user\":\"\xc3\"}", ""},
                                      {"{\"user\":\"\\ud800\"}", ""},
                                      {"{\"user\":NaN}", ""}});
  const std::string deep = chat(",\"metadata\":" + std::string(100, '[') + std::string(100, ']'));
  EXPECT_FALSE(parse_chat_request(deep));
}

TEST(ChatRequest, NamesTheFieldThatIsWrong) {
  const std::vector<std::pair<std::string, const char*>> cases = {
      {R"(,"temperature":"hot")", "temperature"},
      {R"(,"temperature":-0.1)", "temperature"},
      {R"(,"temperature":2.1)", "temperature"},
      {R"(,"temperature":1e999)", ""},
      {R"(,"temperature":true)", "temperature"},
      {R"(,"top_p":1.5)", "top_p"},
      {R"(,"top_k":1.5)", "top_k"},
      {R"(,"top_k":99999999999)", "top_k"},
      {R"(,"min_p":-1)", "min_p"},
      {R"(,"repetition_penalty":0)", "repetition_penalty"},
      {R"(,"presence_penalty":3)", "presence_penalty"},
      {R"(,"frequency_penalty":-3)", "frequency_penalty"},
      {R"(,"seed":1.5)", "seed"},
      {R"(,"seed":18446744073709551615)", "seed"},
      {R"(,"n":0)", "n"},
      {R"(,"n":17)", "n"},
      {R"(,"max_tokens":0)", "max_tokens"},
      {R"(,"max_tokens":-1)", "max_tokens"},
      {R"(,"max_tokens":1e9)", "max_tokens"},
      {R"(,"max_completion_tokens":99999999999)", "max_completion_tokens"},
      {R"(,"stop":5)", "stop"},
      {R"(,"stop":"")", "stop"},
      {R"(,"stop":["a",null])", "stop"},
      {R"(,"stop":["1","2","3","4","5","6","7","8","9","0","a","b","c","d","e","f","g"])", "stop"},
      {R"(,"logit_bias":[])", "logit_bias"},
      {R"(,"logit_bias":{"x":1})", "logit_bias"},
      {R"(,"logit_bias":{"-1":1})", "logit_bias"},
      {R"(,"logit_bias":{"1":101})", "logit_bias"},
      {R"(,"logit_bias":{"1":"a"})", "logit_bias"},
      {R"(,"logprobs":5)", "logprobs"},
      {R"(,"top_logprobs":5)", "top_logprobs"},
      {R"(,"logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"(,"stream":"yes")", "stream"},
      {R"(,"stream_options":{"include_usage":true})", "stream_options"},
      {R"(,"stream":true,"stream_options":{"other":true})", "stream_options.other"},
      {R"(,"stream":true,"stream_options":[])", "stream_options"},
      {R"(,"user":5)", "user"},
      {R"(,"model":5)", "model"},
      {R"(,"tools":5)", "tools"},
      {R"(,"tools":[{"type":"function"}])", "tools[0]"},
      {R"(,"tools":[{"type":"web_search"}])", "tools[0].type"},
      {R"(,"tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0].function.name"},
      {R"(,"tools":[{"type":"function","function":{"name":"a","parameters":[]}}])",
       "tools[0].function.parameters"},
      {R"(,"tools":[{"type":"function","function":{"name":"a","color":1}}])",
       "tools[0].function.color"},
      {R"(,"tools":[{"type":"function","function":{"name":"a"}},
                    {"type":"function","function":{"name":"a"}}])",
       "tools[1]"},
      {R"(,"tool_choice":"required")", "tool_choice"},
      {R"(,"tool_choice":"always")", "tool_choice"},
      {R"(,"tool_choice":{"type":"function","function":{"name":"a"}})", "tool_choice"},
      {R"(,"parallel_tool_calls":1)", "parallel_tool_calls"},
      {R"(,"functions":[{}])", "functions"},
      {R"(,"response_format":{"type":"xml"})", "response_format.type"},
      {R"(,"response_format":{"type":"regex","regex":"a"},
          "tools":[{"type":"function","function":{"name":"a"}}])",
       "response_format"},
      {R"(,"modalities":["audio"])", "modalities"},
      {R"(,"audio":{})", "audio"},
      {R"(,"store":true)", "store"},
      {R"(,"reasoning_effort":"low")", "reasoning_effort"},
      {R"(,"temprature":1)", "temprature"},
  };
  for (const auto& [fields, param] : cases) {
    const auto result = parse_chat_request(chat(fields));
    ASSERT_FALSE(result) << fields;
    EXPECT_EQ(result.error().status, 400) << fields;
    EXPECT_EQ(result.error().param, param) << fields << "\n" << result.error().message;
  }
}

TEST(ChatRequest, NamesTheMessageThatIsWrong) {
  expect_refused(
      parse_chat_request,
      {{R"({})", "messages"},
       {R"({"messages":{}})", "messages"},
       {R"({"messages":[]})", "messages"},
       {R"({"messages":["Hi"]})", "messages[0]"},
       {R"({"messages":[{}]})", "messages[0].role"},
       {R"({"messages":[{"role":5,"content":"a"}]})", "messages[0].role"},
       {R"({"messages":[{"role":"king","content":"a"}]})", "messages[0].role"},
       {R"({"messages":[{"role":"tool","tool_call_id":"x"}]})", "messages[0].content"},
       {R"({"messages":[{"role":"tool","tool_call_id":"x","content":"a"}]})", "messages[0].role"},
       {R"({"messages":[{"role":"assistant","content":"a"},{"role":"tool","content":"b"}]})",
        "messages[1].role"},
       {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
       {R"({"messages":[{"role":"user","content":null}]})", "messages[0].content"},
       {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content"},
       {R"({"messages":[{"role":"user","content":["a"]}]})", "messages[0].content[0]"},
       {R"({"messages":[{"role":"user","content":[{"text":"a"}]}]})", "messages[0].content[0]"},
       {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0]"},
       {R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"image_url",
         "image_url":{"url":"data:image/png;base64,AAAA"}}]}]})",
        "messages[1].content[0]"},
       {R"({"messages":[{"role":"user","content":"a","name":5}]})", "messages[0].name"},
       {R"({"messages":[{"role":"assistant","content":"a","tool_calls":[{}]}]})",
        "messages[0].tool_calls[0]"},
       {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"a","arguments":{}}}]}]})",
        "messages[0].tool_calls[0].function.arguments"}});
}

TEST(CompletionRequest, ReadsEveryKindOfPrompt) {
  const auto texts = parse_completion_request(R"({"prompt":["a","b"],"n":2,"echo":true})");
  ASSERT_TRUE(texts) << texts.error().message;
  EXPECT_EQ(texts->prompts.size(), 2U);
  EXPECT_EQ(texts->generation.max_tokens, 16);
  EXPECT_TRUE(texts->echo);
  const auto text = parse_completion_request(R"({"prompt":"a","max_tokens":0,"logprobs":5})");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(std::get<std::string>(text->prompts.at(0)), "a");
  EXPECT_EQ(text->generation.logprobs, 5);
  const auto tokens = parse_completion_request(R"({"prompt":[1,2]})");
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(std::get<std::vector<int32_t>>(tokens->prompts.at(0)), (std::vector<int32_t>{1, 2}));
  const auto lists = parse_completion_request(R"({"prompt":[[1,2],[3]]})");
  ASSERT_TRUE(lists) << lists.error().message;
  EXPECT_EQ(lists->prompts.size(), 2U);
}

TEST(CompletionRequest, NamesTheFieldThatIsWrong) {
  expect_refused(parse_completion_request,
                 {{R"({})", "prompt"},
                  {R"({"prompt":5})", "prompt"},
                  {R"({"prompt":[]})", "prompt"},
                  {R"({"prompt":[true]})", "prompt"},
                  {R"({"prompt":[1,"a"]})", "prompt"},
                  {R"({"prompt":["a",1]})", "prompt"},
                  {R"({"prompt":[-1]})", "prompt"},
                  {R"({"prompt":[1.5]})", "prompt"},
                  {R"({"prompt":[99999999999]})", "prompt"},
                  {R"({"prompt":"a","logprobs":true})", "logprobs"},
                  {R"({"prompt":"a","logprobs":21})", "logprobs"},
                  {R"({"prompt":"a","suffix":"b"})", "suffix"},
                  {R"({"prompt":"a","n":3,"best_of":2})", "best_of"},
                  {R"({"prompt":"a","best_of":17})", "best_of"},
                  {R"({"prompt":"a","best_of":2,"stream":true})", "best_of"},
                  {R"({"prompt":"a","ignore_eos":1})", "ignore_eos"},
                  {R"({"prompt":"a","messages":[]})", "messages"}});
}

TEST(ResponsesRequest, ReadsTextsAndMessages) {
  const auto text = parse_responses_request(R"({"input":"Hi","instructions":"Be brief."})");
  ASSERT_TRUE(text) << text.error().message;
  ASSERT_EQ(text->messages.size(), 2U);
  EXPECT_EQ(text->messages[0].role, "system");
  EXPECT_EQ(text->messages[1].content, "Hi");
  const auto messages = parse_responses_request(R"({"max_output_tokens":5,"input":[
    {"role":"user","content":[{"type":"input_text","text":"a"}]},
    {"type":"message","id":"msg_1","status":"completed","role":"assistant",
     "content":[{"type":"output_text","text":"b","annotations":[]}]},
    {"role":"user","content":"c"}]})");
  ASSERT_TRUE(messages) << messages.error().message;
  EXPECT_EQ(messages->messages.at(1).content, "b");
  EXPECT_EQ(messages->generation.max_tokens, 5);
  expect_refused(
      parse_responses_request,
      {{R"({})", "input"},
       {R"({"input":[]})", "input"},
       {R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})", "input[0].content[0]"},
       {R"({"input":[{"type":"function_call"}]})", "input[0].name"},
       {R"({"input":[{"type":"function_call_output","call_id":"a"}]})", "input[0]"},
       {R"({"input":[{"type":"computer_call"}]})", "input[0]"},
       {R"({"input":"a","previous_response_id":"x"})", "previous_response_id"},
       {R"({"input":"a","tools":[{"type":"web_search"}]})", "tools[0].type"},
       {R"({"input":"a","text":{"format":{"type":"json_schema"}}})", "text.format.name"},
       {R"({"input":"a","background":true})", "background"}});
}

TEST(OtherRequests, NameTheFieldThatIsWrong) {
  expect_refused(parse_embedding_request,
                 {{R"({})", "input"},
                  {R"({"input":[]})", "input"},
                  {R"({"input":"a","encoding_format":"x"})", "encoding_format"},
                  {R"({"input":"a","pooling":"max"})", "pooling"},
                  {R"({"input":"a","dimensions":5})", "dimensions"}});
  expect_refused(parse_tokenize_request, {{R"({})", "content"},
                                          {R"({"content":5})", "content"},
                                          {R"({"content":"a","add_special":1})", "add_special"},
                                          {R"({"content":"a","x":1})", "x"}});
  expect_refused(parse_detokenize_request, {{R"({})", "tokens"},
                                            {R"({"tokens":"a"})", "tokens"},
                                            {R"({"tokens":[1,-2]})", "tokens"},
                                            {R"({"tokens":[],"x":1})", "x"}});
}

TEST(ChatRequest, ReadsToolsAndTheCallsOfEarlierTurns) {
  const auto request = parse_chat_request(R"({
    "messages": [
      {"role": "user", "content": "a"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"z\": 1, \"a\": 2}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "b"}],
    "tools": [
      {"type": "function", "function": {"name": "f", "strict": true, "description": "d",
        "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}},
      {"type": "function", "function": {"name": "g"}}],
    "tool_choice": {"type": "function", "function": {"name": "g"}}, "parallel_tool_calls": false})");
  ASSERT_TRUE(request) << request.error().message;
  const auto calls = nlohmann::json::parse(request->messages[1].tool_calls);
  EXPECT_EQ(calls[0]["function"]["arguments"], "{\"z\": 1, \"a\": 2}");
  EXPECT_EQ(request->messages[2].tool_call_id, "c1");
  const ToolRequest& tools = request->tools;
  EXPECT_TRUE(tools.active());
  EXPECT_EQ(tools.choice, ToolRequest::Choice::kRequired);
  EXPECT_EQ(tools.names(), (std::vector<std::string>{"f", "g"}));
  ASSERT_EQ(tools.callable().size(), 1U);
  EXPECT_EQ(tools.callable()[0].name, "g");
  EXPECT_FALSE(tools.parallel);
  // Keys stay in the client's order: models see them, and answers follow them.
  EXPECT_EQ(tools.tools[0].parameters, R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(tools.json,
            R"([{"type":"function","function":{"name":"f","description":"d","parameters":)"
            R"({"type":"object","properties":{"z":{},"a":{}}}}},)"
            R"({"type":"function","function":{"name":"g"}}])");
}

TEST(ChatRequest, ReadsFormats) {
  using Kind = AnswerFormat::Kind;
  const auto format_of = [](const std::string& format) {
    const auto request = parse_chat_request(chat(",\"response_format\":" + format));
    EXPECT_TRUE(request) << request.error().message;
    return request->generation.options({}).format;
  };
  EXPECT_FALSE(format_of(R"({"type":"text"})").has_value());
  EXPECT_EQ(format_of(R"({"type":"json_object"})")->kind, Kind::kJsonObject);
  const auto schema = format_of(
      R"({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","a":1}}})");
  EXPECT_EQ(schema->kind, Kind::kJsonSchema);
  EXPECT_EQ(schema->text, R"({"type":"object","a":1})");
  EXPECT_EQ(format_of(R"({"type":"regex","regex":"a+"})")->text, "a+");
  EXPECT_EQ(format_of(R"({"type":"grammar","grammar":"start: x"})")->kind, Kind::kGrammar);
}

TEST(ResponsesRequest, ReadsCallsAndTheirOutputsAsMessages) {
  const auto request = parse_responses_request(R"({"input": [
    {"role": "user", "content": "a"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "status": "completed",
     "content": [{"type": "reasoning_text", "text": "t"}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "b"},
    {"type": "function_call_output", "call_id": "c2",
     "output": [{"type": "input_text", "text": "c"}]}]})");
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->messages.size(), 4U);
  const Message& turn = request->messages[1];
  EXPECT_EQ(turn.role, "assistant");
  EXPECT_EQ(turn.reasoning_content, "t");
  const auto calls = nlohmann::json::parse(turn.tool_calls);
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[1]["function"]["name"], "g");
  EXPECT_EQ(request->messages[3].role, "tool");
  EXPECT_EQ(request->messages[3].content, "c");
  EXPECT_EQ(request->messages[3].tool_call_id, "c2");
}

}  // namespace
}  // namespace fathom::serve

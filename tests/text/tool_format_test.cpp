#include "text/tool_format.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "text/constraint.h"
#include "text/golden.h"
#include "text/tool_parser.h"

namespace fathom {
namespace {

using text_golden::golden_path;
using text_golden::huggingface_source;
using text_golden::read_file;

std::string chat_template(const std::string& name) {
  return read_file(golden_path("chat/" + name + ".jinja"));
}

TEST(ToolFormat, IsKnownFromAModelsChatTemplate) {
  EXPECT_EQ(tool_format_of(chat_template("qwen3")), ToolFormat::kHermes);
  EXPECT_EQ(tool_format_of(chat_template("deepseek_v3")), ToolFormat::kDeepSeek);
  EXPECT_EQ(tool_format_of(chat_template("deepseek_r1")), ToolFormat::kDeepSeek);
  for (const char* name : {"llama3", "qwen2", "smollm2"}) {
    EXPECT_EQ(tool_format_of(chat_template(name)), std::nullopt) << name;
  }
  EXPECT_EQ(tool_format_of("<｜tool▁call▁begin｜>{{ name }}<｜tool▁sep｜>"),
            ToolFormat::kDeepSeekV31);
  // Qwen3-Coder's calls are XML between the tags of Hermes.
  EXPECT_EQ(tool_format_of("<tool_call>\n<function=name>"), std::nullopt);
}

TEST(ToolFormat, SaysHowATemplateWantsEarlierArguments) {
  EXPECT_FALSE(wants_arguments_as_text(chat_template("qwen3")));
  EXPECT_TRUE(wants_arguments_as_text(chat_template("deepseek_v3")));
  EXPECT_TRUE(wants_arguments_as_text(chat_template("deepseek_r1")));
  EXPECT_FALSE(
      wants_arguments_as_text("<｜tool▁call▁begin｜>{{ tool['function']['arguments'] | tojson }}"));
}

TEST(ToolFormat, HasANameThatSelectsIt) {
  for (const ToolFormat format :
       {ToolFormat::kHermes, ToolFormat::kDeepSeek, ToolFormat::kDeepSeekV31, ToolFormat::kJson}) {
    EXPECT_EQ(tool_format_named(name(format)).value(), format);
  }
  const auto unknown = tool_format_named("xml");
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.contains("hermes"));
}

class ToolGrammar : public testing::Test {
 protected:
  std::vector<Tool> tools_ = {
      {.name = "get_time"},
      {.name = "get_weather",
       .parameters = R"({"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}},
                         "required": ["city"], "additionalProperties": false,
                         "$defs": {"city": {"enum": ["Oslo", "Rome"]}}})"}};

  std::shared_ptr<const Constraint> compile(ToolFormat format, bool parallel,
                                            const Tokenizer& tokenizer,
                                            const BesideCalls& beside = {}) {
    auto& vocabulary = vocabularies_[&tokenizer];
    if (!vocabulary) {
      vocabulary =
          *ConstraintVocabulary::make(tokenizer, tokenizer.vocab_size(), std::vector<int32_t>{0});
    }
    const std::string grammar = tool_grammar(format, tools_, parallel, tokenizer, beside);
    auto constraint =
        Constraint::compile(vocabulary, {.kind = AnswerFormat::Kind::kGrammar, .text = grammar});
    EXPECT_TRUE(constraint) << constraint.error().message << "\n" << grammar;
    return *constraint;
  }

  // Whether the text, whose special tokens count as such, is a whole answer of the grammar.
  static bool accepts(const Constraint& constraint, const Tokenizer& tokenizer,
                      const std::string& text) {
    const auto state = constraint.start();
    const auto tokens = tokenizer.encode(text, SpecialText::kParse, false);
    for (const int32_t token : *tokens) {
      if (!state->accept(token)) return false;
    }
    const auto mask = state->mask();
    return mask && mask_allows(*mask, 0);
  }

 private:
  std::map<const Tokenizer*, std::shared_ptr<const ConstraintVocabulary>> vocabularies_;
};

TEST_F(ToolGrammar, AllowsTheCallsThatTheParserReads) {
  const auto deepseek = text_golden::make_tokenizer(huggingface_source("deepseek_v3"));
  const auto qwen = text_golden::make_tokenizer(huggingface_source("qwen3"));
  struct Example {
    ToolFormat format;
    const Tokenizer& tokenizer;
    std::string one;
    std::string two;
  };
  const std::string begin = "<｜tool▁calls▁begin｜>";
  const std::string end = "<｜tool▁calls▁end｜>";
  const std::string v3 =
      "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Oslo\"}\n```"
      "<｜tool▁call▁end｜>";
  const std::string v31 =
      "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Oslo\"}<｜tool▁call▁end｜>";
  const std::string hermes =
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
  const std::vector<Example> examples = {
      {ToolFormat::kHermes, *qwen, hermes, hermes + "\n" + hermes},
      {ToolFormat::kDeepSeek, *deepseek, begin + v3 + end, begin + v3 + "\n" + v3 + end},
      {ToolFormat::kDeepSeekV31, *deepseek, begin + v31 + end, begin + v31 + v31 + end},
      {ToolFormat::kJson, *qwen,
       "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}", ""}};
  for (const Example& example : examples) {
    const std::string shown(name(example.format));
    const auto single = compile(example.format, false, example.tokenizer);
    EXPECT_TRUE(accepts(*single, example.tokenizer, example.one)) << shown;
    ToolParser parser(example.format, {"get_weather"});
    const auto events = parser.push(example.one);
    ASSERT_EQ(events.size(), 2U) << shown;
    EXPECT_EQ(events[0].text, "get_weather");
    EXPECT_EQ(events[1].text, "{\"city\": \"Oslo\"}");
    if (!example.two.empty()) {
      const auto several = compile(example.format, true, example.tokenizer);
      EXPECT_TRUE(accepts(*several, example.tokenizer, example.two)) << shown;
      EXPECT_FALSE(accepts(*single, example.tokenizer, example.two)) << shown;
    }
    // Arguments that break the schema, and text that is no call.
    std::string wrong = example.one;
    wrong.replace(wrong.find("Oslo"), 4, "Lima");
    EXPECT_FALSE(accepts(*single, example.tokenizer, wrong)) << shown;
    EXPECT_FALSE(accepts(*single, example.tokenizer, "Hello")) << shown;
  }
}

TEST_F(ToolGrammar, LetsAnswersBeADocumentInstead) {
  const auto qwen = text_golden::make_tokenizer(huggingface_source("qwen3"));
  const BesideCalls beside = {.kind = BesideCalls::Kind::kDocument,
                              .schema = R"({"type": "object", "properties": {"a": {"type":
                                            "integer"}}, "required": ["a"]})"};
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kJson}) {
    const auto constraint = compile(format, false, *qwen, beside);
    // Where a call is a document too, white space behind the brace tells them apart.
    const bool alike = format == ToolFormat::kJson;
    EXPECT_TRUE(accepts(*constraint, *qwen, alike ? "{ \"a\": 5}" : "{\"a\": 5}"));
    EXPECT_FALSE(accepts(*constraint, *qwen, "{\"b\": 5}"));
    EXPECT_FALSE(accepts(*constraint, *qwen, "Hello"));
  }
  const auto hermes = compile(ToolFormat::kHermes, false, *qwen, beside);
  EXPECT_TRUE(accepts(*hermes, *qwen,
                      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
                      "\"Oslo\"}}\n</tool_call>"));
}

TEST_F(ToolGrammar, LeavesTextFreeAndHoldsStrictToolsToTheirSchemas) {
  const BesideCalls beside = {.kind = BesideCalls::Kind::kText};
  tools_[1].strict = true;
  const auto call = [](const std::string& name, const std::string& arguments) {
    return "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": " + arguments +
           "}\n</tool_call>";
  };
  auto source = huggingface_source("qwen3");
  std::vector<std::unique_ptr<Tokenizer>>
      tokenizers;  // to the end: compile() knows them by address
  for (const bool special : {false, true}) {
    auto json = nlohmann::json::parse(source.tokenizer_json);
    for (auto& token : json["added_tokens"]) {
      if (token["content"].get<std::string>().contains("tool_call")) token["special"] = special;
    }
    source.tokenizer_json = json.dump();
    const Tokenizer* qwen = tokenizers.emplace_back(text_golden::make_tokenizer(source)).get();
    const auto several = compile(ToolFormat::kHermes, true, *qwen, beside);
    const std::string oslo = call("get_weather", R"({"city": "Oslo"})");
    for (const std::string& text :
         {std::string("Hello"), std::string("a <tool b\n{}"), "Let me see.\n" + oslo, oslo,
          oslo + "\n" + oslo, "One. " + oslo + " Two. " + oslo + " Done.",
          call("get_time", R"({"zone": [1, 2]})")}) {
      EXPECT_TRUE(accepts(*several, *qwen, text)) << special << text;
    }
    for (const std::string& text :
         {call("get_weather", R"({"city": "Lima"})"), call("get_rain", "{}"),
          "So: " + call("get_weather", "{}"), std::string("<tool_call>Hello")}) {
      EXPECT_FALSE(accepts(*several, *qwen, text)) << special << text;
    }
    const auto one = compile(ToolFormat::kHermes, false, *qwen, beside);
    EXPECT_TRUE(accepts(*one, *qwen, "One. " + oslo + " Done."));
    EXPECT_FALSE(accepts(*one, *qwen, oslo + oslo));
  }
  const auto deepseek = text_golden::make_tokenizer(huggingface_source("deepseek_v3"));
  const auto v31 = compile(ToolFormat::kDeepSeekV31, true, *deepseek, beside);
  const std::string rome =
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Rome\"}"
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
  EXPECT_TRUE(accepts(*v31, *deepseek, "Hello"));
  EXPECT_TRUE(accepts(*v31, *deepseek, "I look. " + rome));
  std::string lima = rome;
  lima.replace(lima.find("Rome"), 4, "Lima");
  EXPECT_FALSE(accepts(*v31, *deepseek, "I look. " + lima));
}

TEST_F(ToolGrammar, SaysWhichMarkAVocabularyCannotSpell) {
  const auto deepseek = text_golden::make_tokenizer(huggingface_source("deepseek_v3"));
  EXPECT_TRUE(can_call(ToolFormat::kDeepSeek, *deepseek));
  EXPECT_TRUE(can_call(ToolFormat::kHermes, *deepseek)) << "by its bytes";
}

// Converters of GGUF files call DeepSeek's marks special; no text can spell such a token.
TEST_F(ToolGrammar, CallsMarksByTheirTokensWhereTheyAreSpecial) {
  auto source = huggingface_source("deepseek_v3");
  auto json = nlohmann::json::parse(source.tokenizer_json);
  for (auto& token : json["added_tokens"]) {
    if (token["content"].get<std::string>().contains("tool")) token["special"] = true;
  }
  source.tokenizer_json = json.dump();
  const auto tokenizer = text_golden::make_tokenizer(source);
  EXPECT_TRUE(has_special_marks(ToolFormat::kDeepSeek, *tokenizer));
  const auto single = compile(ToolFormat::kDeepSeekV31, false, *tokenizer);
  EXPECT_TRUE(accepts(*single, *tokenizer,
                      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
                      "{\"city\": \"Rome\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"));
  EXPECT_FALSE(accepts(*single, *tokenizer, "<｜tool▁calls▁begin｜>get_weather"));
}

}  // namespace
}  // namespace fathom

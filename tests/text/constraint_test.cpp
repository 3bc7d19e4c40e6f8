#include "text/constraint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include "text/golden.h"

namespace fathom {
namespace {

using Json = nlohmann::json;
using Kind = AnswerFormat::Kind;
const Tokenizer& words() {
  static const auto tokenizer = [] {
    TextSource source;
    source.gguf = text_golden::vocabulary_from_json(
        text_golden::read_file(text_golden::unpacked_path("smollm2/vocabulary.json")));
    return text_golden::make_tokenizer(source);
  }();
  return *tokenizer;
}

constexpr int32_t kEnd = 2;  // <|im_end|>
// A model's vocabulary is often padded.
constexpr int64_t kVocabulary = 49152 + 40;

const std::shared_ptr<const ConstraintVocabulary>& vocabulary() {
  static const auto made = [] {
    auto result = ConstraintVocabulary::make(words(), kVocabulary, std::vector<int32_t>{0, kEnd});
    EXPECT_TRUE(result) << result.error().message;
    return *std::move(result);
  }();
  return made;
}

std::shared_ptr<const Constraint> compile(Kind kind, std::string text = {}) {
  auto constraint = Constraint::compile(vocabulary(), {.kind = kind, .text = std::move(text)});
  EXPECT_TRUE(constraint) << constraint.error().message;
  return constraint.value_or(nullptr);
}

std::string why_not(Kind kind, std::string text) {
  const auto constraint =
      Constraint::compile(vocabulary(), {.kind = kind, .text = std::move(text)});
  return constraint ? "" : constraint.error().message;
}

std::vector<int32_t> tokens_of(const std::string& text) {
  auto tokens = words().encode(text, SpecialText::kPlain, false);
  EXPECT_TRUE(tokens);
  return tokens.value_or(std::vector<int32_t>());
}

bool may_end(ConstraintState& state) {
  const auto mask = state.mask();
  EXPECT_TRUE(mask) << mask.error().message;
  return mask_allows(*mask, kEnd);
}

// How much of `text` the constraint allows, and "!" if it may end there.
std::string allowed_part(const Constraint& constraint, const std::string& text) {
  const auto state = constraint.start();
  std::string part;
  for (const int32_t token : tokens_of(text)) {
    if (state->complete()) return part + "!";
    const auto mask = state->mask();
    EXPECT_TRUE(mask) << mask.error().message;
    const bool allowed = mask_allows(*mask, token);
    const bool accepted = allowed && state->accept(token).has_value();
    EXPECT_EQ(allowed, accepted);
    if (!accepted) break;
    part += words().token_bytes(token);
  }
  return part + (state->complete() || may_end(*state) ? "!" : "");
}

// A text of tokens drawn from the masks until it may end.
std::string random_text(const Constraint& constraint, std::mt19937& random, int most) {
  const auto state = constraint.start();
  std::vector<int32_t> said;
  for (int i = 0; i < most && !state->complete(); ++i) {
    const auto mask = state->mask();
    EXPECT_TRUE(mask) << mask.error().message;
    std::vector<int32_t> allowed;
    for (int32_t token = 0; token < kVocabulary; ++token) {
      if (mask_allows(*mask, token)) allowed.push_back(token);
    }
    EXPECT_FALSE(allowed.empty());
    if (allowed.empty() || mask_allows(*mask, kEnd)) break;
    // Ends strings and objects sooner or later.
    const auto closes = std::ranges::find_if(allowed, [](int32_t token) {
      const std::string bytes = words().token_bytes(token);
      return bytes == "\"" || bytes == "}";
    });
    const size_t drawn = random() % allowed.size();
    const int32_t token = closes != allowed.end() && i > 10 ? *closes : allowed[drawn];
    EXPECT_FALSE(words().is_special(token)) << token;
    EXPECT_LT(token, 49152);
    const Status accepted = state->accept(token);
    EXPECT_TRUE(accepted) << accepted.error().message;
    said.push_back(token);
  }
  return words().decode(said);
}

constexpr auto kPerson = R"({"type": "object", "additionalProperties": false,
  "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
  "required": ["name", "age"]})";

TEST(Constraint, AllowsTheDocumentsOfASchemaAndNoOthers) {
  const auto person = compile(Kind::kJsonSchema, kPerson);
  EXPECT_EQ(allowed_part(*person, R"({"name": "Ann", "age": 31})"),
            R"({"name": "Ann", "age": 31}!)");
  EXPECT_EQ(allowed_part(*person, R"({"name":"A \"quoted\" {name}","age":0})"),
            R"({"name":"A \"quoted\" {name}","age":0}!)");
  EXPECT_EQ(allowed_part(*person, R"({"name":5})"), R"({"name":)");
  EXPECT_EQ(allowed_part(*person, R"(Here it is: {})"), "");
  // Keys come in the schema's order.
  EXPECT_FALSE(allowed_part(*person, R"({"age": 31, "name": "Ann"})").contains("age\""));
}

TEST(Constraint, GivesValidDocumentsForAnyTokensDrawnFromItsMasks) {
  std::mt19937 random(1);
  const auto person = compile(Kind::kJsonSchema, kPerson);
  const auto object = compile(Kind::kJsonObject);
  for (int i = 0; i < 20; ++i) {
    const std::string text = random_text(*person, random, 200);
    const Json json = Json::parse(text, nullptr, false);
    ASSERT_TRUE(json.is_object()) << text;
    EXPECT_TRUE(json.at("name").is_string() && json.at("age").is_number_integer()) << text;
    EXPECT_EQ(json.size(), 2U) << text;
    const std::string any = random_text(*object, random, 400);
    EXPECT_TRUE(Json::parse(any, nullptr, false).is_object()) << any;
  }
}

TEST(Constraint, MatchesTheWholeAnswerWithARegularExpression) {
  const auto answer = compile(Kind::kRegex, "(yes|no)( [a-c]{2})?");
  EXPECT_EQ(allowed_part(*answer, "yes"), "yes!");
  EXPECT_EQ(allowed_part(*answer, "no ab"), "no ab!");
  EXPECT_EQ(allowed_part(*answer, "maybe"), "");
  const auto state = compile(Kind::kRegex, "a/b+")->start();
  ASSERT_TRUE(state->accept_text("a/"));
  EXPECT_FALSE(may_end(*state));
  ASSERT_TRUE(state->accept_text("b"));
  EXPECT_TRUE(may_end(*state));
  EXPECT_FALSE(state->complete());
  EXPECT_FALSE(state->accept_text("c"));
}

TEST(Constraint, FollowsAGrammar) {
  const auto sum =
      compile(Kind::kGrammar, "start: NUMBER (\"+\" NUMBER)* \";\"\nNUMBER: /[0-9]+/\n");
  EXPECT_EQ(allowed_part(*sum, "1+22+333;"), "1+22+333;!");
  EXPECT_EQ(allowed_part(*sum, "1+;"), "1+");
  const auto state = sum->start();
  ASSERT_TRUE(state->accept_text("1;"));
  EXPECT_TRUE(state->complete());
}

TEST(Constraint, GivesEachAnswerAStateOfItsOwn) {
  const auto answer = compile(Kind::kRegex, "ab|cd");
  const auto first = answer->start();
  ASSERT_TRUE(first->accept_text("a"));
  const auto second = answer->start();
  EXPECT_TRUE(second->accept_text("cd"));
  EXPECT_TRUE(second->complete());
  EXPECT_FALSE(first->complete());
  EXPECT_TRUE(first->accept_text("b"));
  EXPECT_TRUE(first->complete());
}

TEST(Constraint, LimitsTheWhiteSpaceOfADocument) {
  const auto object = compile(Kind::kJsonObject);
  EXPECT_EQ(allowed_part(*object, "{\n    \"a\": 1\n}"), "{\n    \"a\": 1\n}!");
  EXPECT_LT(allowed_part(*object, "{" + std::string(400, '\n') + "}").size(), 100U);
}

TEST(Constraint, SaysWhatIsWrongWithAFormat) {
  EXPECT_TRUE(why_not(Kind::kJsonSchema, "{").contains("not valid JSON"));
  EXPECT_TRUE(why_not(Kind::kJsonSchema, R"({"type": "elephant"})").contains("elephant"));
  EXPECT_NE(why_not(Kind::kJsonSchema, R"({"$ref": "https://example.com/schema"})"), "");
  EXPECT_NE(why_not(Kind::kRegex, "a("), "");
  EXPECT_NE(why_not(Kind::kRegex, "(?=a)b"), "");
  EXPECT_NE(why_not(Kind::kGrammar, "start: nothing"), "");
  EXPECT_NE(why_not(Kind::kGrammar, ""), "");
  EXPECT_TRUE(why_not(Kind::kRegex, std::string(2 << 20, 'a')).contains("bytes"));
}

// Each of these would take minutes or gigabytes if nothing stopped it.
TEST(Constraint, RefusesFormatsThatCostTooMuch) {
  std::string optional;
  for (int i = 0; i < 20'000; ++i) optional += "a?";
  EXPECT_NE(why_not(Kind::kRegex, optional), "");
  EXPECT_NE(why_not(Kind::kRegex, optional.substr(0, 4000)), "");
  EXPECT_NE(why_not(Kind::kGrammar, "start: /" + optional + "/"), "");
  EXPECT_NE(why_not(Kind::kGrammar, "start: " + std::string(900'000, '(')), "");
  EXPECT_NE(why_not(Kind::kGrammar, "start: " + std::string(3'000, '(')), "");
  std::string chain = "start: a0\n";
  for (int i = 0; i < 50'000; ++i) chain += fmt::format("a{}: a{}\n", i, i + 1);
  EXPECT_NE(why_not(Kind::kGrammar, chain + "a50000: \"a\"\n"), "");
  EXPECT_NE(why_not(Kind::kJsonSchema, std::string(900'000, '[')), "");
}

TEST(Constraint, RefusesAtOnceToIntersectManyExpressions) {
  std::string all = "start: A\nA: /.*/";
  std::string none = "start: A\nA: /.*/";
  std::string patterns;
  for (int i = 0; i < 60; ++i) {
    all += fmt::format(" & /(.*x{}.*|[a-z]+{})/", i, i);
    none += fmt::format(" & ~/(.*)x{}(.*)/", i);
    patterns += fmt::format(R"x({}{{"pattern": "(x{}|[a-z]+{}$)"}})x", i == 0 ? "" : ",", i, i);
  }
  const std::string schema = R"({"type": "string", "allOf": [)" + patterns + "]}";
  EXPECT_TRUE(why_not(Kind::kGrammar, all).contains("intersections"));
  EXPECT_TRUE(why_not(Kind::kGrammar, none).contains("intersections"));
  EXPECT_TRUE(why_not(Kind::kJsonSchema, schema).contains("intersections"));
}

// What stands beside a schema is counted wherever it stands, and what stands in it too.
TEST(Constraint, CountsWhatStandsBesideAndWithinTheSchemasOfAGrammar) {
  std::string all = "start: A\nA: /.*/";
  std::string patterns;
  for (int i = 0; i < 60; ++i) {
    all += fmt::format(" & /(.*x{}.*|[a-z]+{})/", i, i);
    patterns += fmt::format(R"x({}{{"pattern": "(x{}|[a-z]+{}$)"}})x", i == 0 ? "" : ",", i, i);
  }
  EXPECT_TRUE(why_not(Kind::kGrammar, all + " // %json").contains("intersections"));
  EXPECT_TRUE(why_not(Kind::kGrammar, all + " \"%json\"").contains("intersections"));
  const std::string schema = R"(%json {"type": "string", "allOf": [)" + patterns + "]}";
  EXPECT_TRUE(why_not(Kind::kGrammar, "start: a\na: " + schema).contains("intersections"));
  const std::string long_pattern = std::string(5000, 'a');
  EXPECT_TRUE(
      why_not(Kind::kJsonSchema, R"({"type": "string", "pattern": ")" + long_pattern + "\"}")
          .contains("longer"));
  EXPECT_TRUE(why_not(Kind::kGrammar, "start: a\na: %json {\"pattern\": \"" + long_pattern + "\"}")
                  .contains("longer"));
}

TEST(Constraint, TakesOperatorsForTextAndRepetitionsForWhatTheyAre) {
  std::string grammar = "start: A \"&&&&&&&&&&\" B // & & & & & & & & & &\nB: /~~~~~~~~~~&/\nA: ";
  for (int i = 0; i < 12; ++i) grammar += "\"a\"~1..2 ";
  EXPECT_TRUE(compile(Kind::kGrammar, grammar + "\n"));
}

// As many as are compiled at once are compiled; the others are no worse for it.
TEST(Constraint, SaysWhenTooManyAreBeingCompiled) {
  std::string schema = R"({"type": "object", "properties": {)";
  for (int i = 0; i < 500; ++i) {
    schema += fmt::format(R"({}"field_{}": {{"type": "string"}})", i == 0 ? "" : ",", i);
  }
  schema += "}}";
  vocabulary();
  constexpr int kThreads = 24;
  std::latch begin(kThreads);
  std::atomic<int> compiled = 0;
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        begin.arrive_and_wait();
        const auto constraint =
            Constraint::compile(vocabulary(), {.kind = Kind::kJsonSchema, .text = schema});
        if (constraint) {
          ++compiled;
          return;
        }
        EXPECT_TRUE(constraint.error().busy) << constraint.error().message;
        EXPECT_TRUE(constraint.error().message.contains("now")) << constraint.error().message;
        ++refused;
      });
    }
  }
  EXPECT_GE(compiled, 1);
  EXPECT_GE(refused, 1);
  EXPECT_EQ(compiled + refused, kThreads);
  EXPECT_TRUE(compile(Kind::kJsonSchema, schema));
}

TEST(Constraint, StopsWhereAStepWouldCostTooMuch) {
  // An expression of 256 parts, each of which may be left out.
  std::string grammar = "start: \"x\" A8\nA0: /a?/\n";
  for (int i = 0; i < 8; ++i) grammar += fmt::format("A{}: A{} A{}\n", i + 1, i, i);
  const auto state = compile(Kind::kGrammar, grammar)->start();
  ASSERT_TRUE(state->accept_text("x"));
  const auto mask = state->mask();
  ASSERT_FALSE(mask);
  EXPECT_EQ(mask.error().kind, ErrorKind::kUsage);
  EXPECT_TRUE(mask.error().message.contains("constraint")) << mask.error().message;
}

}  // namespace
}  // namespace fathom

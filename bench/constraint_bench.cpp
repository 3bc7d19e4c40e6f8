// constraint_bench MODEL: what a constraint costs at each token, the mask and the step
// together, over documents that obey a schema, a regular expression and a grammar; and what
// compiling them and making the vocabulary's trie costs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "text/constraint.h"
#include "text/tokenizer.h"

namespace {

using namespace fathom;
using Clock = std::chrono::steady_clock;
using Kind = AnswerFormat::Kind;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Case {
  const char* name;
  AnswerFormat format;
  std::string document;
};

constexpr auto kOrderSchema = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "customer": {"type": "object", "additionalProperties": false,
      "properties": {"name": {"type": "string"}, "email": {"type": "string"},
                     "tier": {"enum": ["basic", "silver", "gold"]}},
      "required": ["name", "email", "tier"]},
    "items": {"type": "array", "items": {"type": "object", "additionalProperties": false,
      "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                     "title": {"type": "string"}, "quantity": {"type": "integer"},
                     "price": {"type": "number"}, "gift": {"type": "boolean"}},
      "required": ["sku", "title", "quantity", "price", "gift"]}},
    "note": {"type": ["string", "null"]}
  },
  "required": ["customer", "items", "note"]
})";

constexpr auto kOrder =
    R"({"customer": {"name": "Ada Lovelace", "email": "ada@example.com", "tier": "gold"}, )"
    R"("items": [{"sku": "ABC-1234", "title": "A history of the analytical engine, in two )"
    R"(volumes", "quantity": 2, "price": 31.5, "gift": false}, {"sku": "XYZ-0007", "title": )"
    R"("Pencils, hard", "quantity": 144, "price": 0.12, "gift": true}], "note": "Please wrap )"
    R"(the books in brown paper and send the pencils ahead, they are wanted at once."})";

// An array: GCC 12 warns of a vector made of a list of these.
std::array<Case, 4> cases() {
  return {{{"JSON schema", {.kind = Kind::kJsonSchema, .text = kOrderSchema}, kOrder},
           {"JSON object", {.kind = Kind::kJsonObject}, kOrder},
           {"regex",
            {.kind = Kind::kRegex, .text = "([A-Z][a-z]+ ){3}lives at [0-9]{1,4} [A-Za-z ]+\\."},
            "Peter Paul Miller lives at 17 Station Road near the old mill."},
           {"grammar",
            {.kind = Kind::kGrammar,
             .text = "start: sum\nsum: product (/[-+]/ product)*\nproduct: atom (/[*\\/]/ atom)*\n"
                     "atom: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]+(\\.[0-9]+)?/\n"},
            "(12+3.5)*(7-(2+4)/3)+100/(8*9)"}}};
}

int fail_with(const std::string& message) {
  fmt::print(stderr, "constraint_bench: {}\n", message);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fail_with("usage: constraint_bench MODEL (a GGUF file or a directory)");
  const auto checkpoint = Checkpoint::open(argv[1]);
  if (!checkpoint) return fail_with(checkpoint.error().message);
  const auto tokenizer = Tokenizer::make((*checkpoint)->text());
  if (!tokenizer) return fail_with(tokenizer.error().message);
  std::vector<int32_t> ends;
  if (const auto end = (*tokenizer)->eos_token()) ends.push_back(*end);

  const auto begin = Clock::now();
  const auto vocabulary = ConstraintVocabulary::make(**tokenizer, (*tokenizer)->vocab_size(), ends);
  if (!vocabulary) return fail_with(vocabulary.error().message);
  fmt::print("vocabulary of {} tokens: {:.0f} ms\n", (*tokenizer)->vocab_size(),
             microseconds_since(begin) / 1000);

  constexpr int kAnswers = 20;
  fmt::print("{:12} {:>11} {:>7} {:>12} {:>12} {:>12} {:>12}\n", "constraint", "compile ms",
             "tokens", "first, med", "later, med", "later, p99", "later, max");
  for (const Case& one : cases()) {
    const auto compile_begin = Clock::now();
    const auto constraint = Constraint::compile(*vocabulary, one.format);
    if (!constraint) return fail_with(constraint.error().message);
    const double compile_ms = microseconds_since(compile_begin) / 1000;
    const auto tokens = (*tokenizer)->encode(one.document, SpecialText::kPlain, false);
    if (!tokens) return fail_with(tokens.error().message);

    // Of the first answer, whose lexer is cold, and of those after it, which share it.
    std::vector<double> first;
    std::vector<double> later;
    for (int answer = 0; answer < kAnswers; ++answer) {
      const auto state = (*constraint)->start();
      for (const int32_t token : *tokens) {
        const auto step_begin = Clock::now();
        const auto mask = state->mask();
        if (!mask) return fail_with(mask.error().message);
        if (!mask_allows(*mask, token)) {
          return fail_with(
              fmt::format("{}: {} is not allowed", one.name, (*tokenizer)->piece(token)));
        }
        if (const Status accepted = state->accept(token); !accepted) {
          return fail_with(accepted.error().message);
        }
        (answer == 0 ? first : later).push_back(microseconds_since(step_begin));
      }
    }
    std::ranges::sort(first);
    std::ranges::sort(later);
    fmt::print("{:12} {:11.2f} {:7} {:9.1f} us {:9.1f} us {:9.1f} us {:9.1f} us\n", one.name,
               compile_ms, tokens->size(), first[first.size() / 2], later[later.size() / 2],
               later[later.size() * 99 / 100], later.back());
  }
  return 0;
}

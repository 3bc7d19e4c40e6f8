#include "text/tool_format.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/quote.h"
#include "text/tokenizer.h"

namespace fathom {
namespace {

using Json = nlohmann::ordered_json;

struct Named {
  ToolFormat format;
  std::string_view name;
};
constexpr std::array<Named, 4> kFormats = {{{ToolFormat::kHermes, "hermes"},
                                            {ToolFormat::kDeepSeek, "deepseek"},
                                            {ToolFormat::kDeepSeekV31, "deepseek-v3.1"},
                                            {ToolFormat::kJson, "json"}}};

// A string of the grammar.
std::string literal(std::string_view text) {
  return Json(text).dump();
}

std::vector<std::string_view> marks_of(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
      return {kHermesBegin, kHermesEnd};
    case ToolFormat::kDeepSeek:
    case ToolFormat::kDeepSeekV31:
      return {kDeepSeekCallsBegin, kDeepSeekCallBegin, kDeepSeekSeparator, kDeepSeekCallEnd,
              kDeepSeekCallsEnd};
    case ToolFormat::kJson:
      return {};
  }
  return {};
}

// A mark is one token in most vocabularies; where that token is special, no text spells it.
std::string mark(std::string_view text, const Tokenizer& tokenizer) {
  const auto token = tokenizer.id(text);
  if (token && tokenizer.is_special(*token)) return "<[" + std::to_string(*token) + "]>";
  return literal(text);
}

}  // namespace

std::string_view name(ToolFormat format) {
  for (const Named& named : kFormats) {
    if (named.format == format) return named.name;
  }
  return "";
}

Result<ToolFormat> tool_format_named(std::string_view name) {
  for (const Named& named : kFormats) {
    if (named.name == name) return named.format;
  }
  return usage_error(
      "The tool format {} is not known; there are hermes, deepseek, deepseek-v3.1 "
      "and json.",
      in_quotes(name));
}

std::optional<ToolFormat> tool_format_of(std::string_view chat_template) {
  const auto has = [&](std::string_view text) { return chat_template.contains(text); };
  if (has(kDeepSeekCallBegin)) {
    return has("```json") ? ToolFormat::kDeepSeek : ToolFormat::kDeepSeekV31;
  }
  // Others write XML between the same tags.
  if (has(kHermesBegin) && !has("<function=") && !has("<arg_key>")) return ToolFormat::kHermes;
  if (has("\"parameters\": ") && has("tool_call")) return ToolFormat::kJson;
  return std::nullopt;
}

bool wants_arguments_as_text(std::string_view chat_template) {
  if (!chat_template.contains(kDeepSeekCallBegin)) return false;
  constexpr std::string_view kArguments = "arguments";
  for (size_t at = chat_template.find(kArguments); at != std::string_view::npos;
       at = chat_template.find(kArguments, at + 1)) {
    std::string_view rest = chat_template.substr(at + kArguments.size());
    const size_t filter = rest.find_first_not_of("'\"] ");
    if (filter == std::string_view::npos || rest[filter] != '|') continue;
    rest.remove_prefix(filter + 1);
    if (rest.substr(std::min(rest.find_first_not_of(' '), rest.size())).starts_with("tojson")) {
      return false;
    }
  }
  return true;
}

bool has_special_marks(ToolFormat format, const Tokenizer& tokenizer) {
  const auto is_special = [&](std::string_view text) {
    const auto token = tokenizer.id(text);
    return token && tokenizer.is_special(*token);
  };
  switch (format) {
    case ToolFormat::kHermes:
      return is_special(kHermesBegin) || is_special(kHermesEnd);
    case ToolFormat::kDeepSeek:
    case ToolFormat::kDeepSeekV31:
      return is_special(kDeepSeekCallsBegin) || is_special(kDeepSeekCallBegin) ||
             is_special(kDeepSeekSeparator);
    case ToolFormat::kJson:
      return false;  // Llama's tag says nothing that the brace after it does not
  }
  return false;
}

Status can_call(ToolFormat format, const Tokenizer& tokenizer) {
  for (const std::string_view text : marks_of(format)) {
    if (tokenizer.id(text)) continue;
    const auto tokens = tokenizer.encode(text, SpecialText::kPlain, false);
    if (tokens && tokenizer.decode(*tokens) == text) continue;
    return fail("The model's vocabulary cannot spell {}, with which the tool format {} calls.",
                in_quotes(text), name(format));
  }
  return {};
}

namespace {

// Of the grammar of answers that call tools, the rules of calls.
class CallRules {
 public:
  CallRules(ToolFormat format, const Tokenizer& tokenizer)
      : format_(format), tokenizer_(tokenizer) {}

  // `rest_i`: a call of the tool behind the mark that begins one.
  std::string rest(size_t i, const Tool& tool, bool obeys) const {
    const bool any = !obeys || tool.parameters.empty();
    const std::string body = fmt::format("arguments_{}", i);
    std::string text;
    switch (format_) {
      case ToolFormat::kHermes:
        text = fmt::format(
            "{} {} {} {}",
            literal(fmt::format("\n{{\"name\": {}, \"arguments\": ", Json(tool.name).dump())), body,
            literal("}\n"), special(kHermesEnd));
        break;
      case ToolFormat::kDeepSeek:
        text = fmt::format("\"function\" {} {} {} {} {}", special(kDeepSeekSeparator),
                           literal(tool.name + "\n```json\n"), body, literal("\n```"),
                           special(kDeepSeekCallEnd));
        break;
      case ToolFormat::kDeepSeekV31:
        text = fmt::format("{} {} {} {}", literal(tool.name), special(kDeepSeekSeparator), body,
                           special(kDeepSeekCallEnd));
        break;
      case ToolFormat::kJson:
        text = fmt::format(
            "{} {} \"}}\"",
            literal(fmt::format("{{\"name\": {}, \"parameters\": ", Json(tool.name).dump())), body);
        break;
    }
    return fmt::format("{}: %json {}\nrest_{}: {}\n", body,
                       any ? R"({"type": "object"})" : tool.parameters, i, text);
  }

  // A call, behind the mark that begins an answer's first.
  std::string first_rest() const {
    return deepseek() ? fmt::format("{} rest", special(kDeepSeekCallBegin)) : "rest";
  }
  // Another behind it; Llama 3 calls one tool at a time.
  std::string next() const {
    switch (format_) {
      case ToolFormat::kHermes:
        return fmt::format("\"\\n\" {} rest", special(kHermesBegin));
      case ToolFormat::kDeepSeek:
        return fmt::format("\"\\n\" {} rest", special(kDeepSeekCallBegin));
      case ToolFormat::kDeepSeekV31:
        return fmt::format("{} rest", special(kDeepSeekCallBegin));
      case ToolFormat::kJson:
        break;
    }
    return {};
  }
  std::string_view opening() const {
    return deepseek() ? kDeepSeekCallsBegin : format_ == ToolFormat::kHermes ? kHermesBegin : "";
  }
  bool opening_is_special() const {
    const auto token = tokenizer_.id(opening());
    return token && tokenizer_.is_special(*token);
  }
  // All calls behind the opening mark.
  std::string calls(bool parallel) const {
    std::string text = first_rest();
    if (parallel && !next().empty()) text += fmt::format(" ({})*", next());
    if (deepseek()) text += fmt::format(" {}", special(kDeepSeekCallsEnd));
    return text;
  }
  std::string special(std::string_view text) const { return mark(text, tokenizer_); }
  bool deepseek() const {
    return format_ == ToolFormat::kDeepSeek || format_ == ToolFormat::kDeepSeekV31;
  }

 private:
  ToolFormat format_;
  const Tokenizer& tokenizer_;
};

// Text is free up to the mark with which calls begin.
std::string text_and_calls(const CallRules& rules, bool parallel) {
  const bool again = parallel && !rules.deepseek();
  const std::string calls = rules.calls(parallel);
  if (rules.opening_is_special()) {
    return fmt::format("start: TEXT? ({} {} TEXT?){}\nTEXT: /(?s:.+)/\n",
                       rules.special(rules.opening()), calls, again ? "*" : "?");
  }
  return fmt::format(
      "start: (lead {}){} TEXT?\nlead[lazy]: /(?s:.*){}/\n"
      "TEXT: /(?s:.+)/ & ~/(?s:.*){}(?s:.*)/\n",
      calls, again ? "*" : "?", rules.opening(), rules.opening());
}

}  // namespace

std::string tool_grammar(ToolFormat format, const std::vector<Tool>& tools, bool parallel,
                         const Tokenizer& tokenizer, const BesideCalls& beside) {
  using Kind = BesideCalls::Kind;
  const CallRules rules(format, tokenizer);
  std::string grammar;
  if (beside.kind == Kind::kText) {
    grammar = text_and_calls(rules, parallel);
  } else {
    const std::string opening =
        rules.opening().empty() ? "" : fmt::format("{} ", rules.special(rules.opening()));
    grammar = fmt::format("start: calls{}\ncalls: {}{}\n",
                          beside.kind == Kind::kDocument ? " | document" : "", opening,
                          rules.calls(parallel));
    if (beside.kind == Kind::kDocument) {
      grammar += fmt::format("document: %json {}\n", beside.schema);
    }
  }
  std::string names;
  std::string bodies;
  for (size_t i = 0; i < tools.size(); ++i) {
    names += fmt::format("{}rest_{}", i == 0 ? "" : " | ", i);
    bodies += rules.rest(i, tools[i], beside.kind != Kind::kText || tools[i].strict);
  }
  return fmt::format("{}rest: {}\n{}", grammar, names, bodies);
}

}  // namespace fathom

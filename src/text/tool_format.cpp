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

std::string tool_grammar(ToolFormat format, const std::vector<Tool>& tools, bool parallel,
                         const Tokenizer& tokenizer) {
  const auto special = [&](std::string_view text) { return mark(text, tokenizer); };
  std::string calls;
  std::string rules;
  for (size_t i = 0; i < tools.size(); ++i) {
    const Tool& tool = tools[i];
    const std::string rule = "call_" + std::to_string(i);
    const std::string quoted = Json(tool.name).dump();
    const std::string arguments =
        " %json " + (tool.parameters.empty() ? R"({"type": "object"})" : tool.parameters) + "\n";
    const std::string body = "arguments_" + std::to_string(i);
    calls += (i == 0 ? "" : " | ") + rule;
    rules += fmt::format("{}:{}{}: ", body, arguments, rule);
    switch (format) {
      case ToolFormat::kHermes:
        rules += fmt::format("{} {} {} {} {}", special(kHermesBegin),
                             literal("\n{\"name\": " + quoted + ", \"arguments\": "), body,
                             literal("}\n"), special(kHermesEnd));
        break;
      case ToolFormat::kDeepSeek:
        rules += special(kDeepSeekCallBegin) + " \"function\" " + special(kDeepSeekSeparator) +
                 " " + literal(tool.name + "\n```json\n") + " " + body + " " + literal("\n```") +
                 " " + special(kDeepSeekCallEnd);
        break;
      case ToolFormat::kDeepSeekV31:
        rules += special(kDeepSeekCallBegin) + " " + literal(tool.name) + " " +
                 special(kDeepSeekSeparator) + " " + body + " " + special(kDeepSeekCallEnd);
        break;
      case ToolFormat::kJson:
        rules += fmt::format("{} {} \"}}\"", literal("{\"name\": " + quoted + ", \"parameters\": "),
                             body);
        break;
    }
    rules += "\n";
  }
  // Llama 3 calls one tool at a time.
  const bool several = parallel && format != ToolFormat::kJson;
  const bool deepseek = format == ToolFormat::kDeepSeek || format == ToolFormat::kDeepSeekV31;
  const std::string between = format == ToolFormat::kDeepSeekV31 ? "" : "\"\\n\" ";
  std::string start = "call" + (several ? " (" + between + "call)*" : std::string());
  if (deepseek)
    start = special(kDeepSeekCallsBegin) + " " + start + " " + special(kDeepSeekCallsEnd);
  return "start: " + start + "\ncall: " + calls + "\n" + rules;
}

}  // namespace fathom

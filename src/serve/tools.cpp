#include "serve/tools.h"

#include <algorithm>
#include <utility>

#include "base/quote.h"
#include "base/result.h"
#include "serve/answer_formats.h"

namespace fathom::serve {
namespace {

using Json = nlohmann::ordered_json;
using Choice = ToolRequest::Choice;

// A function's own fields.
ApiResult<Tool> read_function(Fields& fields) {
  Tool tool;
  FATHOM_TRY(auto name, fields.string("name"));
  if (!name || !is_api_name(*name)) {
    return bad_request(fields.path("name"),
                       "{} must be 1 to 64 letters, digits, underscores and dashes.",
                       fields.path("name"));
  }
  tool.name = *std::move(name);
  FATHOM_CHECK(fields.string("description"));
  FATHOM_TRY(const auto strict, fields.boolean("strict"));
  tool.strict = strict.value_or(false);
  if (const Json* parameters = fields.find("parameters")) {
    if (!parameters->is_object()) {
      return bad_request(fields.path("parameters"), "{} must be an object, not {}.",
                         fields.path("parameters"), kind_of(*parameters));
    }
    if (!parameters->empty()) tool.parameters = parameters->dump();
  }
  return tool;
}

ApiStatus check_type(Fields& fields) {
  FATHOM_TRY(const auto type, fields.string("type"));
  if (type == "function") return {};
  return bad_request(fields.path("type"), "{} must be \"function\": other tools are not supported.",
                     fields.path("type"));
}

// Adds a tool, and what a template takes for it: always the chat API's shape.
ApiStatus read_tool(const Json& value, const std::string& path, bool flat, ToolRequest& request,
                    Json& shown) {
  FATHOM_TRY(Fields fields, Fields::of(value, path + "."));
  FATHOM_CHECK(check_type(fields));
  Json function;
  if (flat) {
    FATHOM_TRY(Tool tool, read_function(fields));
    request.tools.push_back(std::move(tool));
    function = value;
    function.erase("type");
  } else {
    const Json* described = fields.find("function");
    if (described == nullptr) return bad_request(path, "{} has no function.", path);
    FATHOM_TRY(Fields parts, Fields::of(*described, path + ".function."));
    FATHOM_TRY(Tool tool, read_function(parts));
    FATHOM_CHECK(parts.unknown());
    request.tools.push_back(std::move(tool));
    function = *described;
  }
  FATHOM_CHECK(fields.unknown());
  const std::string& name = request.tools.back().name;
  const auto same = [&](const Tool& tool) { return tool.name == name; };
  if (std::ranges::count_if(request.tools, same) > 1) {
    return bad_request(path, "Two tools have the name {}.", in_quotes(name));
  }
  // It says how strict we should be, not what the tool does.
  function.erase("strict");
  shown.push_back({{"type", "function"}, {"function", std::move(function)}});
  return {};
}

ApiStatus read_named_choice(const Json& value, bool flat, ToolRequest& request) {
  constexpr const char* kPath = "tool_choice";
  FATHOM_TRY(Fields fields, Fields::of(value, "tool_choice."));
  FATHOM_CHECK(check_type(fields));
  std::optional<std::string> name;
  if (flat) {
    FATHOM_TRY(name, fields.string("name"));
  } else if (const Json* function = fields.find("function")) {
    FATHOM_TRY(Fields parts, Fields::of(*function, "tool_choice.function."));
    FATHOM_TRY(name, parts.string("name"));
    FATHOM_CHECK(parts.unknown());
  }
  FATHOM_CHECK(fields.unknown());
  const auto named = [&](const Tool& tool) { return tool.name == name; };
  if (!name || std::ranges::none_of(request.tools, named)) {
    return bad_request(kPath, "tool_choice names no function of tools.");
  }
  request.only = *std::move(name);
  request.choice = Choice::kRequired;
  return {};
}

ApiStatus read_choice(Fields& fields, bool flat, ToolRequest& request) {
  request.choice = request.tools.empty() ? Choice::kNone : Choice::kAuto;
  const Json* value = fields.find("tool_choice");
  if (value == nullptr) {
    request.asked_choice = request.tools.empty() ? "none" : "auto";
    return {};
  }
  request.asked_choice = *value;
  if (value->is_object()) return read_named_choice(*value, flat, request);
  if (*value == "auto") return {};
  if (*value == "none") {
    request.choice = Choice::kNone;
    return {};
  }
  if (*value != "required") {
    return bad_request("tool_choice",
                       "tool_choice must be none, auto, required, or name a function.");
  }
  if (request.tools.empty()) {
    return bad_request("tool_choice", "tool_choice requires a tool, and there are none.");
  }
  request.choice = Choice::kRequired;
  return {};
}

}  // namespace

bool ToolRequest::binds() const {
  return active() && (choice == Choice::kRequired || std::ranges::any_of(tools, &Tool::strict));
}

std::vector<std::string> ToolRequest::names() const {
  std::vector<std::string> names;
  names.reserve(tools.size());
  for (const Tool& tool : tools) names.push_back(tool.name);
  return names;
}

std::vector<Tool> ToolRequest::callable() const {
  if (!only) return tools;
  const auto named = std::ranges::find(tools, *only, &Tool::name);
  return {*named};
}

ApiResult<ToolRequest> read_tools(Fields& fields, bool flat) {
  ToolRequest request;
  if (const Json* list = fields.find("tools")) {
    if (!list->is_array()) {
      return bad_request("tools", "tools must be an array, not {}.", kind_of(*list));
    }
    if (list->size() > kMostTools) {
      return bad_request("tools", "There are {} tools; at most {} are allowed.", list->size(),
                         kMostTools);
    }
    Json shown = Json::array();
    for (size_t i = 0; i < list->size(); ++i) {
      FATHOM_CHECK(read_tool((*list)[i], fmt::format("tools[{}]", i), flat, request, shown));
    }
    if (!shown.empty()) request.json = shown.dump();
    request.asked_tools = *list;
  }
  FATHOM_CHECK(read_choice(fields, flat, request));
  FATHOM_TRY(const auto parallel, fields.boolean("parallel_tool_calls"));
  request.parallel = parallel.value_or(true);
  return request;
}

}  // namespace fathom::serve

#include "serve/answer_formats.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/quote.h"
#include "base/result.h"

namespace fathom::serve {
namespace {

using Json = nlohmann::ordered_json;
using Kind = AnswerFormat::Kind;

constexpr size_t kLongestName = 64;

// Strict or not, answers obey the schema.
ApiResult<AnswerFormat> read_schema(Fields& fields) {
  FATHOM_TRY(const auto name, fields.string("name"));
  if (!name || !is_api_name(*name)) {
    return bad_request(fields.path("name"),
                       "{} must be 1 to {} letters, digits, underscores and dashes.",
                       fields.path("name"), kLongestName);
  }
  FATHOM_CHECK(fields.string("description"));
  FATHOM_CHECK(fields.boolean("strict"));
  const Json* schema = fields.find("schema");
  if (schema == nullptr) return AnswerFormat{.kind = Kind::kJsonObject};
  if (!schema->is_object()) {
    return bad_request(fields.path("schema"), "{} must be an object, not {}.",
                       fields.path("schema"), kind_of(*schema));
  }
  return AnswerFormat{.kind = Kind::kJsonSchema, .text = schema->dump()};
}

ApiResult<AnswerFormat> read_source(Fields& fields, const char* name, Kind kind) {
  FATHOM_TRY(auto source, fields.string(name));
  if (!source || source->empty()) {
    return bad_request(fields.path(name), "{} is missing or empty.", fields.path(name));
  }
  return AnswerFormat{.kind = kind, .text = *std::move(source)};
}

}  // namespace

bool is_api_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName &&
         std::ranges::all_of(name, [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '-');
         });
}

std::string schema_of(const AnswerFormat& format) {
  if (format.kind == Kind::kJsonObject) return R"({"type": "object"})";
  return format.text;
}

ApiResult<std::optional<AnswerFormat>> read_answer_format(Fields& fields, std::string_view name,
                                                          bool flat) {
  const Json* value = fields.find(name);
  if (value == nullptr) return std::nullopt;
  const std::string path = fields.path(name);
  FATHOM_TRY(Fields format, Fields::of(*value, path + "."));
  FATHOM_TRY(const auto type, format.string("type"));
  if (!type) return bad_request(path, "{} has no type.", path);
  std::optional<AnswerFormat> read;
  if (*type == "json_object") {
    read = AnswerFormat{.kind = Kind::kJsonObject};
  } else if (*type == "json_schema" && flat) {
    FATHOM_TRY(read, read_schema(format));
  } else if (*type == "json_schema") {
    const Json* described = format.find("json_schema");
    if (described == nullptr) return bad_request(path, "{} has no json_schema.", path);
    FATHOM_TRY(Fields schema, Fields::of(*described, path + ".json_schema."));
    FATHOM_TRY(read, read_schema(schema));
    FATHOM_CHECK(schema.unknown());
  } else if (*type == "regex") {
    FATHOM_TRY(read, read_source(format, "regex", Kind::kRegex));
  } else if (*type == "grammar") {
    FATHOM_TRY(read, read_source(format, "grammar", Kind::kGrammar));
  } else if (*type != "text") {
    return bad_request(
        path + ".type",
        "{}.type is {}; it must be text, json_object, json_schema, regex or grammar.", path,
        in_quotes(*type));
  }
  FATHOM_CHECK(format.unknown());
  return read;
}

}  // namespace fathom::serve

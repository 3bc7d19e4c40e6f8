// What the answer to a request must look like: response_format of chats and completions,
// text.format of responses. Beside OpenAI's text, json_object and json_schema there are
// {"type": "regex", "regex": ...} and {"type": "grammar", "grammar": ...}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fathom/answer_format.h"
#include "serve/fields.h"

namespace fathom::serve {

// The schema of a format that is JSON (kJsonObject, kJsonSchema), for a part of a grammar.
std::string schema_of(const AnswerFormat& format);

// Reads the field `name`; none: the answer is free. flat: a schema's fields stand beside its type,
// as in the responses API, and not in an object of their own.
ApiResult<std::optional<AnswerFormat>> read_answer_format(Fields& fields, std::string_view name,
                                                          bool flat);

// Names of schemas and functions: letters, digits, _ and -, at most 64.
bool is_api_name(std::string_view name);

}  // namespace fathom::serve

// The description of the API in OpenAPI 3.1, as /openapi.json serves it.
#pragma once

#include <string_view>

namespace fathom::serve {

std::string_view openapi_document();

}  // namespace fathom::serve

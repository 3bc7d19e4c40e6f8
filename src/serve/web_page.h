// The web page at /: a fixed table of files, so that no path leads anywhere else. Everybody may
// load it, also where the API asks for keys: it holds nothing but code, and asks the API like any
// other client. Any thread.
#pragma once

#include <optional>

#include "serve/http_message.h"

namespace fathom::serve {

// The answer to a request for one of its files (also 304, 405); nothing if the path is none of
// them.
std::optional<HttpResponse> web_page_response(const HttpRequest& request);

}  // namespace fathom::serve

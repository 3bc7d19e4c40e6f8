// Text from a file, made fit for an error message: in quotes, control characters escaped (they
// could drive the user's terminal), long text cut.
#pragma once

#include <string>
#include <string_view>

namespace fathom {

std::string in_quotes(std::string_view text);

}  // namespace fathom

// Memory that was freed but that the C library keeps for later. Any thread.
#pragma once

namespace fathom {

// Gives it back to the system, after work that needed much for a moment, such as reading a
// tokenizer: small pieces that stay in between keep the rest from going back by itself. Takes
// milliseconds. Does nothing where the C library is not glibc.
void return_freed_memory();

}  // namespace fathom

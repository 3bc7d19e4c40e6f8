// FATHOM_UNROLL: the next loop has a small constant count and must vanish, so that the arrays it
// indexes live in registers.
#pragma once

#if defined(__clang__)
#define FATHOM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FATHOM_UNROLL _Pragma("GCC unroll 16")
#endif

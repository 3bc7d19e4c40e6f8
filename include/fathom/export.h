// FATHOM_API marks what libfathom.so shows to applications; all else in it is hidden.
#pragma once

#if defined(__GNUC__)
#define FATHOM_API __attribute__((visibility("default")))
#else
#define FATHOM_API
#endif

# fathom_options: what every one of our targets compiles with.
add_library(fathom_options INTERFACE)
target_compile_options(fathom_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlaps in std::string's operator+ that are not there (its bug 105651).
  target_compile_options(fathom_options INTERFACE -Wno-restrict)
endif()
if(FATHOM_WERROR)
  target_compile_options(fathom_options INTERFACE -Werror)
endif()
if(FATHOM_SANITIZE)
  target_compile_options(fathom_options INTERFACE -fsanitize=${FATHOM_SANITIZE}
                         -fno-omit-frame-pointer -g1)
  target_link_options(fathom_options INTERFACE -fsanitize=${FATHOM_SANITIZE})
  # The standard library checks its own preconditions too: operator[], front(), *optional.
  target_compile_definitions(fathom_options INTERFACE _GLIBCXX_ASSERTIONS)
  if(FATHOM_SANITIZE MATCHES undefined)
    target_compile_options(fathom_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(FATHOM_BUILD_FUZZERS)
  # Coverage counters for libFuzzer in all code, its main() only in the fuzzers.
  target_compile_options(fathom_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12 offers std::expected to compilers that announce C++20's final concepts.
  target_compile_options(fathom_options INTERFACE -stdlib=libstdc++)
endif()

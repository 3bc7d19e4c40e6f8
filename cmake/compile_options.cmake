# fathom_options: what every one of our targets compiles with.
add_library(fathom_options INTERFACE)
target_compile_options(fathom_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
if(FATHOM_WERROR)
  target_compile_options(fathom_options INTERFACE -Werror)
endif()
if(FATHOM_SANITIZE)
  target_compile_options(fathom_options INTERFACE -fsanitize=${FATHOM_SANITIZE}
                         -fno-omit-frame-pointer -g1)
  target_link_options(fathom_options INTERFACE -fsanitize=${FATHOM_SANITIZE})
  if(FATHOM_SANITIZE MATCHES undefined)
    target_compile_options(fathom_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12 offers std::expected to compilers that announce C++20's final concepts.
  target_compile_options(fathom_options INTERFACE -stdlib=libstdc++)
endif()

# `cmake --install` gives the binary, the shared library, its headers and a CMake package.
include(GNUInstallDirs)

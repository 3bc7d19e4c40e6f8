#!/usr/bin/env bash
# Installs the binary, libfathom, its headers and its CMake package: install.sh [PREFIX], by default
# /usr/local.
source "$(dirname "$0")/common.sh"
scripts/build.sh all
cmake --install "$build" --prefix "${1:-/usr/local}"

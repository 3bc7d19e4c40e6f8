#!/usr/bin/env bash
# Installs a build into a folder of its own, builds examples/stream against that as any application
# would, and runs it: install_test.sh BUILD_FOLDER SOURCE_FOLDER CXX_COMPILER MODEL PROMPT
set -euo pipefail
build=$1 source=$2 compiler=$3 model=$4 prompt=$5
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null

# Nothing but our own namespace may be visible: another copy of a library in the application must
# not meet the one inside.
library=$(find "$scratch/prefix" -name libfathom.so)
foreign=$(nm --dynamic --defined-only "$library" | awk '$2 != "A" {print $3}' | grep -v 'N6fathom\|NK6fathom' || true)
[ -z "$foreign" ] || {
  echo "libfathom.so exports what is not its own: $foreign" >&2
  exit 1
}
# The headers of the engine's inside stay home.
[ ! -e "$scratch/prefix/include/base" ]

cmake -S "$source/examples/stream" -B "$scratch/example" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" >/dev/null
cmake --build "$scratch/example"
# One pipe for both streams: of two, the reader may see the pieces of a line in another order.
"$scratch/example/stream" "$model" "$prompt" 2>&1

# The installed binary is complete as well.
"$scratch/prefix/bin/fathom" --version

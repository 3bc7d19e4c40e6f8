#!/usr/bin/env bash
# Cross-compiles the kernels and what they stand on for 64-bit ARM and runs their tests on emulated
# processors: without dot product instructions, with them, and with matrix instructions. Ends with
# one line: N passed, N failed, N skipped.
source "$(dirname "$0")/common.sh"

if [ "$(uname -m)" = aarch64 ]; then
  note "this is an ARM processor: make test runs the same tests without emulation"
  exit 0
fi
one_at_a_time build
scripts/setup.sh build test arm
configure arm64
step "Building for ARM"
ninja -C "$build/arm64" -j "$jobs"
release_lock
step "Testing on emulated ARM processors"
scripts/ctest.sh "$build/arm64"

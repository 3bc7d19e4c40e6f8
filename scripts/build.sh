#!/usr/bin/env bash
# Builds the release preset: build.sh demo (the command line alone) or build.sh all (with tests).
source "$(dirname "$0")/common.sh"

what=${1:-all}
one_at_a_time build
case $what in
  demo)
    scripts/setup.sh build
    # A folder configured with tests stays so: the target decides what is built.
    [ -f "$build/build.ninja" ] || configure release -DFATHOM_BUILD_TESTS=OFF
    configure release
    target=fathom_cli
    ;;
  all)
    scripts/setup.sh build test
    configure release -DFATHOM_BUILD_TESTS=ON
    target=all
    ;;
  bench)
    scripts/setup.sh build
    configure release -DFATHOM_BUILD_BENCH=ON
    target=all
    ;;
  *) die "build.sh: '$what' is none of demo, all, bench" ;;
esac

use_rust
if [ ! "$build/cargo/release/libfathom_text_bridge.a" -nt src/text/bridge/Cargo.lock ]; then
  step "Fetching the Rust crates"
  retry cargo fetch --locked --manifest-path src/text/bridge/Cargo.toml ||
    die "the crates that src/text/bridge/Cargo.lock names could not be fetched"
fi
step "Building ($what)"
ninja -C "$build" -j "$jobs" "$target"

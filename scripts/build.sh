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
    targets=fathom_cli
    ;;
  all)
    scripts/setup.sh build test
    configure release -DFATHOM_BUILD_TESTS=ON
    targets=all
    ;;
  bench)
    scripts/setup.sh build
    configure release -DFATHOM_BUILD_BENCH=ON
    targets=all
    ;;
  *) die "build.sh: '$what' is none of demo, all, bench" ;;
esac

use_rust
retry cargo fetch --locked --manifest-path src/text/bridge/Cargo.toml >/dev/null 2>"$build/cargo-fetch.log" ||
  { cat "$build/cargo-fetch.log" >&2; die "the crates of src/text/bridge could not be fetched"; }
# Nothing is printed where nothing is to do.
if ! ninja -C "$build" -n $targets | grep -q "no work to do"; then
  step "Building ($what)"
  ninja -C "$build" -j "$jobs" $targets
fi

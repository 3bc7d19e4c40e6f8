#!/usr/bin/env bash
# Builds everything, runs every test, and ends with one line: N passed, N failed, N skipped.
# FATHOM_CTEST_ARGUMENTS adds arguments for ctest (-R NAME, -L ROOM, ...).
source "$(dirname "$0")/common.sh"

scripts/build.sh all

step "Fetching the default model, which some tests run"
"$build/fathom" pull default ||
  note "not available: the tests that need it are skipped and counted as such"

step "Testing"
scripts/ctest.sh "$build"

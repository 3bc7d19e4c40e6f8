#!/usr/bin/env bash
# Puts SOAK_SECONDS (300) of mixed and unfriendly load on `fathom serve` with the default model
# (bench/soak.py).
source "$(dirname "$0")/common.sh"

scripts/build.sh demo

step "Fetching the default model"
if ! "$build/fathom" pull default; then
  note "not available: no load is put on a server"
  exit 0
fi

seconds=${SOAK_SECONDS:-300}
step "$seconds s of mixed load"
python3 bench/soak.py "$build/fathom" --seconds "$seconds"

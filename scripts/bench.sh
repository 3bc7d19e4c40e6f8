#!/usr/bin/env bash
# Speed of the default model on this machine (fathom bench). MODEL=... measures another.
source "$(dirname "$0")/common.sh"

scripts/build.sh demo
model=${MODEL:-default}
[ "$model" != default ] || "$build/fathom" pull default
step "fathom bench -m $model"
"$build/fathom" bench -m "$model"

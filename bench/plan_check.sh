#!/usr/bin/env bash
# How well `fathom plan` predicts this machine: benchmarks the default model and three shapes, fits to the runs,
# and prints predicted beside measured speeds, also by costs that do not know the model. Takes a quarter of an
# hour on two cores that nobody else uses, and 11 GB of memory.
#   bench/plan_check.sh [build/fathom] [folder for the runs]
set -euo pipefail
fathom=${1:-build/fathom}
folder=${2:-$(mktemp -d)}
mkdir -p "$folder"
"$fathom" bench --json >"$folder/default.json"
"$fathom" bench --shape distill-1.5b --prefill 64,256,1024 --json >"$folder/distill-1.5b.json"
"$fathom" bench --shape lite-6.7b --prefill 64,256 --repeat 1 --decode 12 --json >"$folder/lite-6.7b.json"
"$fathom" bench --shape v2-lite-16b --prefill 64,256 --repeat 1 --decode 12 --json >"$folder/v2-lite-16b.json"
"$fathom" plan --fit --fit-file "$folder/default.json" --fit-file "$folder/distill-1.5b.json" \
  --fit-file "$folder/lite-6.7b.json" --fit-file "$folder/v2-lite-16b.json"

#!/usr/bin/env bash
# How well `fathom plan` predicts this machine: benchmarks the default model and three shapes twice, fits to
# the first runs, and compares predictions with both. Takes half an hour on two cores, and 11 GB of memory.
#   bench/plan_check.sh [build/fathom] [folder for the runs]
set -euo pipefail
fathom=${1:-build/fathom}
folder=${2:-$(mktemp -d)}
mkdir -p "$folder/first" "$folder/second"
for round in first second; do
  "$fathom" bench --prefill 64,256,1024,2048 --json >"$folder/$round/default.json"
  "$fathom" bench --shape distill-1.5b --prefill 64,256,1024 --json >"$folder/$round/distill-1.5b.json"
  "$fathom" bench --shape lite-6.7b --prefill 64,256 --repeat 1 --decode 12 --json >"$folder/$round/lite-6.7b.json"
  "$fathom" bench --shape v2-lite-16b --prefill 64,256,1024 --repeat 1 --decode 16 --json >"$folder/$round/v2-lite-16b.json"
done
echo "Fitted to the first runs:"
"$fathom" plan --fit "$folder"/first/*.json
echo "Compared with the second runs:"
"$fathom" plan --check "$folder"/second/*.json

#!/usr/bin/env bash
# How well `fathom plan` predicts this machine: benchmarks the default model and three shapes in turn, several times
# over (other programs slow some runs), fits to the medians, and prints predicted beside measured speeds, also by
# costs that do not know the model. A round takes 5 minutes on two cores that nobody else uses, and 11 GB of memory.
#   bench/plan_check.sh [build/fathom] [folder for the runs] [rounds]
set -euo pipefail
fathom=${1:-build/fathom}
folder=${2:-$(mktemp -d)}
rounds=${3:-3}
mkdir -p "$folder"
files=()
bench() {
  local name=$1 round=$2
  shift 2
  "$fathom" bench "$@" --json >"$folder/$name.$round.json"
  files+=(--fit-file "$folder/$name.$round.json")
}
for round in $(seq "$rounds"); do
  bench default "$round"
  bench distill-1.5b "$round" --shape distill-1.5b --prefill 64,256,1024 --repeat 1 --decode 12
  bench lite-6.7b "$round" --shape lite-6.7b --prefill 64,256 --repeat 1 --decode 6
  bench v2-lite-16b "$round" --shape v2-lite-16b --prefill 64,256 --repeat 1 --decode 8
done
"$fathom" plan --fit "${files[@]}"

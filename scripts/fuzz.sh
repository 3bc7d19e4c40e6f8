#!/usr/bin/env bash
# Runs every libFuzzer target for a while under AddressSanitizer and UBSan: fuzz.sh [SECONDS].
# A finding is left in build/fuzz-findings/ and fails the run.
source "$(dirname "$0")/common.sh"
seconds=${1:-60}

one_at_a_time build
scripts/setup.sh build test sanitize
use_rust
configure asan
step "Building the fuzzers"
ninja -C "$build/asan" -j "$jobs" fuzzers
release_lock

findings=$build/fuzz-findings
mkdir -p "$findings"
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19

fuzz() {
  local name=$1 log=$findings/$1.log
  local corpus=$build/fuzz-corpus/$name seeds=tests/fuzz/corpus/$name
  mkdir -p "$corpus"
  if [ -d "$seeds" ]; then set -- "$seeds"; else set --; fi
  # Grammars may take seconds to compile here, on a machine that others use too.
  if "$build/asan/fuzz/$name" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
    -artifact_prefix="$findings/$name-" -print_final_stats=1 "$corpus" "$@" >"$log" 2>&1 </dev/null; then
    note "$name: $(grep -o 'number_of_executed_units: [0-9]*' "$log" | tr -dc 0-9) inputs, none broke it"
  else
    tail -n 60 "$log"
    note "$name: FOUND SOMETHING; the input is in $findings"
    return 1
  fi
}

# As many at once as there are cores.
step "Fuzzing, $seconds s each"
export -f fuzz note
export build findings seconds
find "$build/asan/fuzz" -maxdepth 1 -type f -executable -printf '%f\n' 2>/dev/null | sort >"$findings/targets" || true
[ -s "$findings/targets" ] || die "no fuzz target was built"
xargs --arg-file="$findings/targets" --max-procs="$jobs" -I{} bash -c 'set -euo pipefail; fuzz {}'

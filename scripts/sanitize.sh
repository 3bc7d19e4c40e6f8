#!/usr/bin/env bash
# Runs the unit tests under AddressSanitizer and UBSan, and those with threads under
# ThreadSanitizer: sanitize.sh [address] [thread]; both by default. Tests of the real model are left
# out: they repeat the small ones' code paths a million times; so is what measures memory, to which
# sanitizers add their own.
source "$(dirname "$0")/common.sh"
[ $# -gt 0 ] || set -- address thread

left_out='^SmolLm2[.]|^Install[.]|^Server[.]HoldsManyIdleConnections'
# The rooms with threads, and what in them has none, or none but those of the Rust crates: these are
# compiled without the sanitizer, which then does not see how they synchronise.
threaded='base kernels engine hub'
unthreaded='AnswerConstraint|Sampler|StopFilter|ReasoningFilter|Scheduler|PrefixCache|StepPacer|Softmax|KvCache'

one_at_a_time build
scripts/setup.sh build test sanitize
use_rust
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19

for sanitizer in "$@"; do
  case $sanitizer in
    address)
      configure asan
      step "Building with AddressSanitizer and UBSan"
      ninja -C "$build/asan" -j "$jobs"
      step "Testing under AddressSanitizer and UBSan"
      scripts/ctest.sh "$build/asan" -E "$left_out"
      ;;
    thread)
      configure tsan
      step "Building with ThreadSanitizer"
      read -ra rooms <<<"$threaded"
      ninja -C "$build/tsan" -j "$jobs" "${rooms[@]/%/_test}"
      step "Testing under ThreadSanitizer"
      scripts/ctest.sh "$build/tsan" -L "^(${threaded// /|})$" -E "$left_out|$unthreaded"
      ;;
    *) die "sanitize.sh: '$sanitizer' is neither address nor thread" ;;
  esac
done

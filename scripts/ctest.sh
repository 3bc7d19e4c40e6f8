#!/usr/bin/env bash
# Runs the tests of one build folder and counts them: ctest.sh FOLDER [CTEST_ARGUMENT...].
# The last line is "N passed, N failed", with ", N skipped" where some were.
source "$(dirname "$0")/common.sh"

directory=$1
shift
results=$directory/test-results.xml
rm -f "$results"
code=0
# shellcheck disable=SC2086  # a list of words
ctest --test-dir "$directory" --parallel "$jobs" --output-on-failure --no-tests=error \
  --output-junit "test-results.xml" "$@" ${FATHOM_CTEST_ARGUMENTS:-} </dev/null || code=$?
[ -f "$results" ] || die "ctest ended with code $code and counted nothing"

count() { grep -o -m1 "[[:space:]]$1=\"[0-9]*\"" "$results" | head -n1 | tr -dc 0-9; }
total=$(count tests)
failed=$(count failures)
skipped=$(($(count skipped) + $(count disabled)))
passed=$((total - failed - skipped))
line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line+=", $skipped skipped"
echo
echo "$line"
[ "$code" = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ]

#!/usr/bin/env bash
# Formats all C++ in the repository, or with --check says what is not formatted.
source "$(dirname "$0")/common.sh"
scripts/setup.sh lint

directories=$(ls -d src include tests bench examples 2>/dev/null || true)
# shellcheck disable=SC2086  # a list of words
files=$(find $directories -name "*.cpp" -o -name "*.h")
# shellcheck disable=SC2086  # a list of words
case ${1:-} in
  "") clang-format-19 -i $files ;;
  --check)
    clang-format-19 --dry-run --Werror $files || die "not formatted as .clang-format says; run make format"
    note "$(wc -w <<<"$files") files are formatted"
    ;;
  *) die "format.sh: the only option is --check" ;;
esac

#!/usr/bin/env bash
# clang-tidy over our sources, as .clang-tidy says, and a few rules of the repository's own.
# lint.sh [FILE...]: all of src/ where no file is named.
source "$(dirname "$0")/common.sh"

step "Checking the repository's own rules"
large=$(git ls-files -z | xargs -0 -r du --block-size=1M --threshold=5M -- 2>/dev/null || true)
[ -z "$large" ] || die "files of more than 5 MB do not belong in the repository: $large"
for script in scripts/*.sh .ci/run; do
  bash -n "$script"
done
if command -v shellcheck >/dev/null; then
  shellcheck scripts/*.sh .ci/run
fi
git ls-files -z '*.py' | xargs -0 -r -n1 python3 -c \
  'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])'
scripts/check_includes.py || die "includes go the wrong way, see above"
scripts/render_api_docs.py --check || die "run scripts/render_api_docs.py"
note "sizes, scripts, the direction of includes, the API's page"

one_at_a_time build
scripts/setup.sh build test sanitize lint
configure asan
release_lock

step "clang-tidy"
[ $# -gt 0 ] || mapfile -t files < <(find src -name '*.cpp' | sort)
[ $# -eq 0 ] || files=("$@")
tidy() {
  local output
  # The count of suppressed warnings from system headers is noise.
  if output=$(clang-tidy-19 --quiet -p "$build/asan" "$1" 2>&1); then
    printf '    %s\n' "$1"
  else
    printf '    %s\n%s\n' "$1" "$(grep -v 'warnings generated\.$' <<<"$output")"
    return 1
  fi
}
export -f tidy
export build
printf '%s\0' "${files[@]}" | xargs -0 -P "$jobs" -I{} bash -c 'tidy {}' ||
  die "clang-tidy has complaints, printed above"

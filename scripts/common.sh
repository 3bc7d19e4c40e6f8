# shellcheck shell=bash
# What every script here starts with: strict mode, the repository's root as working directory, and
# a few words to speak with. Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TERM_PROGRESS_WHEN=${CARGO_TERM_PROGRESS_WHEN:-never}
# shellcheck disable=SC2034  # for the scripts that source this
jobs=${FATHOM_JOBS:-$(nproc)}
# Where build/fathom and everything else that is built goes.
build=build

# What was compiled in one clone serves another.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

step() { printf '\n==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
  printf 'fathom: %s\n' "$*" >&2
  exit 1
}

# retry COMMAND...: registries drop connections now and then; three tries before giving up.
retry() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    [ "$try" = 3 ] || {
      note "that failed (try $try of 3); trying again: $*"
      sleep $((try * 5))
    }
  done
  return 1
}

# one_at_a_time NAME: holds build/NAME.lock until this script ends, so that two `make` at once do not
# write the same files.
one_at_a_time() {
  mkdir -p "$build"
  exec 9>"$build/$1.lock"
  flock --nonblock 9 || {
    note "waiting for another build in this folder"
    flock 9
  }
}
release_lock() { exec 9>&-; }

# The oldest Rust that builds the crates in src/text/bridge/Cargo.lock.
rust_minimum=1.87

# rust_is_new_enough DIR: whether DIR holds a cargo and a rustc that are.
rust_is_new_enough() {
  local version
  version=$("$1/cargo" --version 2>/dev/null) || return 1
  version=$(cut -d' ' -f2 <<<"$version")
  [ "$(printf '%s\n%s\n' "$rust_minimum" "$version" | sort -V | head -n1)" = "$rust_minimum" ] &&
    "$1/rustc" --version >/dev/null 2>&1
}

# use_rust: puts a Rust toolchain that is new enough first in PATH; fails where there is none.
use_rust() {
  local found directory
  found=$(command -v cargo || true)
  for directory in "${found:+$(dirname "$found")}" "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin" /usr/bin; do
    if [ -n "$directory" ] && rust_is_new_enough "$directory"; then
      export PATH="$directory:$PATH"
      return 0
    fi
  done
  return 1
}

# configure PRESET [CMAKE_ARGUMENT...]: does nothing where the build folder already agrees.
configure() {
  local preset=$1 directory=$build
  shift
  [ "$preset" = release ] || directory=$build/$preset
  [ -z "${FATHOM_WERROR:-}" ] || set -- "$@" "-DFATHOM_WERROR=$FATHOM_WERROR"
  local wanted agrees=yes
  [ -f "$directory/build.ninja" ] || agrees=no
  for wanted in "$@"; do
    [ "$agrees" = no ] && break
    wanted=${wanted#-D}
    grep -q "^${wanted%%=*}:[A-Z]*=${wanted#*=}$" "$directory/CMakeCache.txt" || agrees=no
  done
  [ "$agrees" = yes ] && return 0
  step "Configuring ($preset)"
  # The cross build has no text bridge.
  [ "$preset" = arm64 ] || use_rust || die "no Rust $rust_minimum or later; run scripts/setup.sh"
  cmake --preset "$preset" "$@"
}

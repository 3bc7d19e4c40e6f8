#!/usr/bin/env bash
# Runs the clients that people use against `fathom serve` with the default model: the official
# openai packages for Python and Node, schemathesis and lm-eval, each in a place of its own under
# build/.
source "$(dirname "$0")/common.sh"

scripts/setup.sh clients
scripts/build.sh demo
environment=$build/clients
node=$build/clients-node

# install_once MARKER FILE... -- COMMAND...: runs it unless the files are those of the last time.
install_once() {
  local marker=$1 files=()
  shift
  while [ "$1" != -- ]; do
    files+=("$1")
    shift
  done
  shift
  cat "${files[@]}" | cmp -s - "$marker" && return 0
  "$@"
  cat "${files[@]}" >"$marker"
}

install_python() {
  step "Installing the clients for Python"
  rm -rf "$environment"
  python3 -m venv "$environment"
  retry "$environment/bin/pip" install --quiet --disable-pip-version-check \
    -r tests/clients/requirements.txt -c tests/clients/constraints.txt
}

install_node() {
  step "Installing the client for Node"
  rm -rf "$node"
  mkdir -p "$node"
  cp tests/clients/node/package.json tests/clients/node/package-lock.json "$node"
  retry npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel=error
}

one_at_a_time clients
install_once "$environment/installed.txt" tests/clients/requirements.txt \
  tests/clients/constraints.txt -- install_python
install_once "$node/installed.txt" tests/clients/node/package-lock.json -- install_node

step "Fetching the default model"
if ! "$build/fathom" pull default; then
  note "not available: the clients are not tested"
  exit 0
fi

step "Testing with real clients"
FATHOM_NODE_CLIENT=$PWD/$node "$environment/bin/python" -m pytest -q -p no:cacheprovider \
  --durations=5 tests/clients

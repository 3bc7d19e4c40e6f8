#!/usr/bin/env bash
# Runs the clients that people use against `fathom serve` with the default model: the official
# openai package for Python, in a virtual environment of its own.
source "$(dirname "$0")/common.sh"

scripts/setup.sh clients
scripts/build.sh demo
requirements=tests/clients/requirements.txt
environment=$build/clients

one_at_a_time clients
if ! cmp -s "$requirements" "$environment/installed.txt"; then
  step "Installing the clients"
  rm -rf "$environment"
  python3 -m venv "$environment"
  retry "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$environment/installed.txt"
fi

step "Fetching the default model"
if ! "$build/fathom" pull default; then
  note "not available: the clients are not tested"
  exit 0
fi

step "Testing with real clients"
"$environment/bin/python" -m pytest -q -p no:cacheprovider tests/clients

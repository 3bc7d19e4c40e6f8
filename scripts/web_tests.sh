#!/usr/bin/env bash
# Checks the web page of `fathom serve`: that web/dist is what its sources make, its unit tests, and
# the page itself in Chromium, with the default model behind it.
source "$(dirname "$0")/common.sh"

scripts/setup.sh web || note "going on with what there is"
scripts/build.sh demo
one_at_a_time web
command -v npm >/dev/null || die "there is no npm: Node 18 or later is needed"

cd web
if ! cmp -s package-lock.json node_modules/.installed; then
  step "Installing what builds and tests the page"
  retry npm ci --no-audit --no-fund
  cp package-lock.json node_modules/.installed
fi

step "Checking and building the page"
committed=$(cd dist && find . -type f -print0 | sort -z | xargs -0 sha256sum)
npm run --silent build
[ "$committed" = "$(cd dist && find . -type f -print0 | sort -z | xargs -0 sha256sum)" ] ||
  die "web/dist is not what web/src makes. It is built anew now: commit it."
note "web/dist is what the sources make"

step "Unit tests"
npm run --silent test

step "Fetching the default model"
if ! ../build/fathom pull default; then
  note "not available: the page is NOT tested in a browser"
  exit 0
fi
chromium=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$chromium" ]; then
  note "there is no Chromium here: the page is NOT tested in a browser"
  exit 0
fi

step "Testing in Chromium (screenshots: build/web-screenshots)"
CHROMIUM=$chromium npm run --silent test:browser

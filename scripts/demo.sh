#!/usr/bin/env bash
# From nothing to an answer: sets up, builds, fetches the default model and asks it something.
source "$(dirname "$0")/common.sh"

scripts/build.sh demo
"$build/fathom" pull default

prompt=${PROMPT:-"What is the capital of France, and what is it known for?"}
step "fathom run \"$prompt\""
"$build/fathom" run --stats --temperature 0 --max-tokens 128 "$prompt"

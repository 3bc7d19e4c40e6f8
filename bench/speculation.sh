#!/usr/bin/env bash
# What speculative decoding brings, and what it costs where it brings nothing: decode speed by
# prompt lookup against none, in turn on the same prompts, greedily, medians of RUNS.
#
#   bench/speculation.sh [BINARY] [MODEL...]        RUNS=5 by default; a model as fathom run's -m
#
# "edit" asks for a text that is in the prompt, with a change; "free" for one that is not. Greedy
# answers must be equal with and without; the script fails if they are not.
set -euo pipefail

binary=${1:-build/fathom}
shift || true
runs=${RUNS:-5}
tokens=${TOKENS:-200}
models=("$@")
[ ${#models[@]} -gt 0 ] || models=(default)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/edit" <<'TEXT'
Repeat this Python code exactly, but rename the function total_price to compute_total.

def total_price(items, tax_rate):
    """Return the total price of all items with tax."""
    subtotal = 0.0
    for item in items:
        price = item["price"]
        quantity = item["quantity"]
        subtotal += price * quantity
    tax = subtotal * tax_rate
    total = subtotal + tax
    return round(total, 2)

def average_price(items):
    """Return the average price of all items."""
    if not items:
        return 0.0
    subtotal = 0.0
    for item in items:
        subtotal += item["price"]
    return subtotal / len(items)
TEXT
echo "Tell me a story about a fox who learns to read." > "$work/free"

python3 - "$binary" "$work" "$runs" "$tokens" "${models[@]}" <<'PY'
import json
import statistics
import subprocess
import sys

binary, work, runs, tokens, *models = sys.argv[1:]
METHODS = ("off", "lookup")


def answer(model, prompt, method):
    command = [binary, "run", "-m", model, "--temperature", "0", "--max-tokens", tokens, "--json",
               "--speculate", method, "-"]
    with open(f"{work}/{prompt}") as text:
        return json.loads(subprocess.run(command, stdin=text, capture_output=True, check=True).stdout)


print(f"{'model':24} {'prompt':6} {'off':>9} {'lookup':>9} {'ratio':>7}  accepted")
for model in models:
    for prompt in ("edit", "free"):
        speeds = {method: [] for method in METHODS}
        answers = {}
        for _ in range(int(runs)):
            for method in METHODS:
                answers[method] = answer(model, prompt, method)
                speeds[method].append(answers[method]["speeds"]["decode_tokens_per_second"])
        if answers["off"]["tokens"] != answers["lookup"]["tokens"]:
            sys.exit(f"{model}, {prompt}: another answer with speculation")
        off, lookup = (statistics.median(speeds[method]) for method in METHODS)
        ratio = statistics.median(b / a for a, b in zip(speeds["off"], speeds["lookup"]))
        drafted, accepted = (answers["lookup"][k] for k in ("drafted_tokens", "accepted_tokens"))
        share = f"{100 * accepted / drafted:.0f}% of {drafted}" if drafted else "nothing drafted"
        print(f"{model[-24:]:24} {prompt:6} {off:9.1f} {lookup:9.1f} {ratio:6.2f}x  {share}",
              flush=True)
PY

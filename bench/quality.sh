#!/usr/bin/env bash
# bench/quality.sh TEXT [TOKENS]: what each way of making SmolLM2-135M smaller costs, on the first TOKENS
# tokens of a text that was not used to calibrate (50000). Prints the rows of docs/quality.md.
# The original is the default model's file decoded to F16; that file is Q4_1 in groups of 32, so rounding
# to Q4_1 again would lose nothing and says nothing. Files go to $QUALITY_DIR (build/quality).
set -euo pipefail
cd "$(dirname "$0")/.."
text=$1
tokens=${2:-50000}
directory=${QUALITY_DIR:-build/quality}
fathom=${FATHOM:-build/fathom}
mkdir -p "$directory"
original=$directory/original.gguf
[ -e "$original" ] || "$fathom" quantize -o "$original" --method none --type f16 >/dev/null

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

row() { # name, arguments of quantize
  local name=$1 file
  shift
  file=$directory/${name// /-}.gguf
  local made
  made=$("$fathom" quantize -m "$original" -o "$file" --json "$@")
  local measured
  measured=$("$fathom" eval kl -m "$file" --reference "$original" --text "$text" \
    --max-tokens "$tokens" --no-packed-cache --json)
  printf '| %s | `%s` | %.1f | %.2f | %.0f | %.4f ± %.4f | %.2f | %.3f |\n' "$name" "$*" \
    "$(field bytes <<<"$made" | awk '{print $1 / 1e6}')" "$(field bits_per_weight <<<"$made")" \
    "$(field seconds <<<"$made")" "$(field kl_mean <<<"$measured")" \
    "$(field kl_standard_error <<<"$measured")" \
    "$(field top1_agreement <<<"$measured" | awk '{print $1 * 100}')" \
    "$(field perplexity <<<"$measured")"
}

echo "| type | arguments | MB | bits | seconds | KL | same token, % | perplexity |"
echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
row "Q8_0" --bits 8
row "Q4_0" --method rtn
row "Q4_0 AWQ" --method awq
row "Q4_0 GPTQ" --method gptq

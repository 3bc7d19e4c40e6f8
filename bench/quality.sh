#!/usr/bin/env bash
# bench/quality.sh TEXT [TOKENS]: what each way of making SmolLM2-135M smaller costs, on the first TOKENS
# tokens of a text that was not used to calibrate (50688: 99 windows of 512). Prints the rows of
# docs/quality.md. The original is the default model's file decoded to F16; that file is Q4_1 in groups of
# 32, so rounding to Q4_1 again would lose nothing and says nothing. Files go to $QUALITY_DIR (build/quality).
# With $LLAMA_PYTHON, a python that has llama-cpp-python, llama.cpp's own Q4_0 and Q4_K_M are measured too,
# and with $IMPORTANCE, which bench/llama_quantize.py makes, Q4_K_M with that importance matrix.
# $ROWS: only the rows whose name matches this. $THREADS: for eval and bench; all cores if it is unset.
set -euo pipefail
cd "$(dirname "$0")/.."
text=$1
tokens=${2:-50688}
directory=${QUALITY_DIR:-build/quality}
fathom=${FATHOM:-build/fathom}
threads=${THREADS:-0}
mkdir -p "$directory"
original=$directory/original.gguf
[ -e "$original" ] || "$fathom" quantize -o "$original" --method none --type f16 >/dev/null

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

measured() { # name, file, bits a weight, how it was made
  local kl speed
  kl=$("$fathom" eval kl -m "$2" --reference "$original" --text "$text" --max-tokens "$tokens" \
    --threads "$threads" --no-packed-cache --no-results --json)
  speed=$("$fathom" bench -m "$2" --prefill 0 --batch 1 --context 0 --threads "$threads" --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["results"][-1]["tokens_per_second"])')
  printf '| %s | `%s` | %.1f | %.2f | %.4f ± %.4f | %.2f | %.3f | %.0f |\n' "$1" "$4" \
    "$(stat -c %s "$2" | awk '{print $1 / 1e6}')" "$3" \
    "$(field kl_mean <<<"$kl")" "$(field kl_standard_error <<<"$kl")" \
    "$(field top1_agreement <<<"$kl" | awk '{print $1 * 100}')" "$(field perplexity <<<"$kl")" "$speed"
}

wanted() { [[ $1 =~ ${ROWS:-.} ]]; }

row() { # name, arguments of quantize
  local name=$1 file made
  wanted "$name" || return 0
  shift
  file=$directory/${name// /-}.gguf
  made=$("$fathom" quantize -m "$original" -o "$file" --json "$@")
  measured "$name" "$file" "$(field bits_per_weight <<<"$made")" "$*"
}

llama() { # name, type, importance matrix or nothing
  local file=$directory/${1// /-}.gguf
  wanted "$1" || return 0
  "$LLAMA_PYTHON" bench/llama_quantize.py quantize "$original" "$file" "${@:2}" 2>/dev/null
  measured "$1" "$file" "$("$LLAMA_PYTHON" bench/llama_quantize.py bits "$file")" "llama_quantize.py ${*:2:1}"
}

echo "| type | arguments | MB | bits | KL | same token, % | perplexity | tokens/s |"
echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
if wanted "F16"; then measured "F16" "$original" 16 "--method none --type f16"; fi
row "Q8_0" --bits 8
row "Q4_0" --method rtn
row "Q4_0 AWQ" --method awq
row "Q4_0 GPTQ" --method gptq
row "Q4_0 AWQ and GPTQ" --method awq-gptq
row "4.5 bits, rounded" --method rtn --embedding q4_0
row "4.5 bits" --method awq --target-bits 4.5
row "at the size of Q4_K_M" --method awq --target-size 105454144 --embedding q8_0
if [ -n "${LLAMA_PYTHON:-}" ]; then
  llama "llama.cpp Q4_0" q4_0
  llama "llama.cpp Q4_K_M" q4_k_m
  if [ -n "${IMPORTANCE:-}" ]; then llama "llama.cpp Q4_K_M with importance" q4_k_m "$IMPORTANCE"; fi
fi

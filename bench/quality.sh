#!/usr/bin/env bash
# bench/quality.sh TEXT [TOKENS]: what each way of making SmolLM2-135M smaller costs, on the first TOKENS
# tokens of a text that was not used to calibrate (50688: 99 windows of 512). Prints the rows of
# docs/quality.md. The original is the default model's file decoded to F16; that file is Q4_1 in groups of
# 32, so rounding to Q4_1 again would lose nothing and says nothing. Files go to $QUALITY_DIR (build/quality):
# the original's logits (2 bytes each, 4.9 GB for 50688 tokens) are computed once and kept there, and so is
# what was found for each row (NAME.json), so that a run that ended early goes on.
# With $LLAMA_PYTHON, a python that has llama-cpp-python, llama.cpp's own Q4_0 and Q4_K_M are measured too,
# and with $IMPORTANCE, which bench/llama_quantize.py makes, Q4_K_M with that importance matrix.
# $ROWS: only the rows whose name matches this. $THREADS: for eval and bench; all cores if it is unset.
# $WRAP: a command before the one that measures speed. $SPEED: "no" leaves that out.
set -euo pipefail
cd "$(dirname "$0")/.."
text=$1
tokens=${2:-50688}
directory=${QUALITY_DIR:-build/quality}
fathom=${FATHOM:-build/fathom}
threads=${THREADS:-0}
read -ra wrap <<<"${WRAP:-}"
mkdir -p "$directory"
original=$directory/original.gguf
checkpoint=$directory/original
logits=$directory/original.$tokens.logits
[ -e "$original" ] || "$fathom" quantize -o "$original" --method none --type f16 >/dev/null
[ -e "$checkpoint" ] || "$fathom" quantize -m "$original" -o "$checkpoint" --format hf --bits 16 >/dev/null
[ -e "$logits" ] || "$fathom" eval ppl -m "$original" --text "$text" --max-tokens "$tokens" \
  --threads "$threads" --no-packed-cache --no-results --json --save-logits "$logits" >"$logits.json"

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

speed_of() { # model
  [ "${SPEED:-}" = no ] || "${wrap[@]}" "$fathom" bench -m "$1" --prefill 0 --batch 1 --context 0 \
    --threads "$threads" --json |
    python3 -c 'import json, sys; print(round(json.load(sys.stdin)["results"][-1]["tokens_per_second"]))'
}

measured() { # name, model, bits a weight, how it was made
  local found=$directory/${1// /-}.$tokens.json
  [ -s "$found" ] || "$fathom" eval kl -m "$2" --reference-logits "$logits" --text "$text" \
    --threads "$threads" --no-packed-cache --no-results --json >"$found" || { rm -f "$found"; return 1; }
  printf '| %s | `%s` | %.1f | %.2f | %.4f ± %.4f | %.2f | %.3f | %s |\n' "$1" "$4" \
    "$(du -bc "$2" --exclude tokenizer.json | tail -n 1 | awk '{print $1 / 1e6}')" "$3" \
    "$(field kl_mean <"$found")" "$(field kl_standard_error <"$found")" \
    "$(field top1_agreement <"$found" | awk '{print $1 * 100}')" "$(field perplexity <"$found")" "$(speed_of "$2")"
}

wanted() { [[ $1 =~ ${ROWS:-.} ]]; }

made() { # source, name, suffix, arguments of quantize
  local file=$directory/${2// /-}$3
  wanted "$2" || return 0
  [ -e "$file" ] || "$fathom" quantize -m "$1" -o "$file" --json "${@:4}" >"$file.made"
  measured "$2" "$file" "$(field bits_per_weight <"$file.made")" "${*:4}"
}
row() { made "$original" "$1" .gguf "${@:2}"; }           # name, arguments: a GGUF file
packed() { made "$checkpoint" "$1" "" "${@:2}"; }         # name, arguments: a directory

llama() { # name, type, importance matrix or nothing
  local file=$directory/${1// /-}.gguf
  wanted "$1" || return 0
  [ -e "$file" ] || "$LLAMA_PYTHON" bench/llama_quantize.py quantize "$original" "$file" "${@:2}" 2>/dev/null
  measured "$1" "$file" "$("$LLAMA_PYTHON" bench/llama_quantize.py bits "$file")" "llama_quantize.py ${*:2:1}"
}

echo "| type | arguments | MB | bits | KL | same token, % | perplexity | tokens/s |"
echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
if wanted "F16"; then
  printf '| F16, the original | `--method none --type f16` | %.1f | 16.00 | 0 | 100 | %.3f | %s |\n' \
    "$(stat -c %s "$original" | awk '{print $1 / 1e6}')" "$(field perplexity <"$logits.json")" \
    "$(speed_of "$original")"
fi
row "Q4_0" --method rtn
row "Q4_0 AWQ" --method awq
row "Q4_0 GPTQ" --method gptq
row "4.25 bits" --method awq --target-bits 4.25
row "4.5 bits" --method awq --target-bits 4.5
if [ -n "${LLAMA_PYTHON:-}" ]; then
  if [ -n "${IMPORTANCE:-}" ]; then llama "llama.cpp Q4_K_M with importance" q4_k_m "$IMPORTANCE"; fi
  llama "llama.cpp Q4_0" q4_0
fi
row "at the size of Q4_K_M" --method awq --target-size 105454144 --embedding q8_0
packed "groups of 64" --method rtn --group 64
packed "groups of 64 AWQ" --method awq --group 64
packed "groups of 64 GPTQ" --method gptq --group 64
row "Q8_0" --bits 8
# Rows of 576 are not divided by 128: down_proj alone, the others as they are.
others=(--keep q_proj --keep k_proj --keep v_proj --keep o_proj --keep gate_proj --keep up_proj)
packed "down_proj in groups of 128" --method rtn --group 128 "${others[@]}"
packed "down_proj in groups of 128 AWQ" --method awq --group 128 "${others[@]}"
row "Q4_K AWQ" --method awq --type q4_k
row "Q3_K AWQ" --method awq --type q3_k
row "4.5 bits, all Q4_0" --method rtn --embedding q4_0
row "Q4_0 AWQ and GPTQ" --method awq-gptq
if [ -n "${LLAMA_PYTHON:-}" ]; then llama "llama.cpp Q4_K_M" q4_k_m; fi

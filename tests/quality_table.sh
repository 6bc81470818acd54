#!/usr/bin/env bash
# What each recipe costs a model on text that did not calibrate it: negative log-likelihood over the float model,
# Kullback-Leibler divergence, share of tokens whose most likely successor stays. Calls the program for everything.
#   quality_table.sh VULCAT MODEL_DIR TEXT OUT [options]
# writes OUT.md and OUT.json; `vulcat report FOLDER --quality OUT.json` shows the latter in a report page.
#   --separator S     what stands between texts in TEXT            [<|endoftext|>]
#   --samples N       sequences that calibrate, from the start     [64]
#   --judged N        sequences that judge, from the end           [24]
#   --only PATTERN    only recipes whose name matches this extended regular expression
#   --keep FOLDER     keep the calibrated folders there; what is there already is not made again
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
vulcat=$1 model=$2 text=$3 out=$4
shift 4
separator='<|endoftext|>' samples=64 judged=24 only=. keep=
while [ $# -gt 0 ]; do
    case $1 in
        --separator) separator=$2 ;;
        --samples) samples=$2 ;;
        --judged) judged=$2 ;;
        --only) only=$2 ;;
        --keep) keep=$2 ;;
        *) echo "error: unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done
work=$(mktemp -d "${TMPDIR:-/tmp}/vulcat quality.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ -n "$keep" ]; then mkdir -p "$keep"; else keep=$work; fi
texts=(--text "$text" --separator "$separator")

# value FILE KEY: the number after "KEY": in the program's JSON, which has one key a line
value() { awk -v key="\"$2\":" '$1 == key { sub(/,$/, "", $2); print $2; exit }' "$1"; }
difference() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6f", a - b }'; }

"$vulcat" eval "$model" "${texts[@]}" --last "$judged" --cpu --format json >"$work/float.json" 2>"$work/log"
float=$(value "$work/float.json" mean_nll)
: >"$work/rows"

# recipe NAME OPTION...: one row
recipe() {
    local name=$1 folder bits nll over
    shift
    [[ $name =~ $only ]] || return 0
    folder=$keep/$(tr -c 'a-zA-Z0-9.\n' '-' <<<"$name")
    if [ ! -e "$folder/calibration_report.json" ]; then
        if ! "$vulcat" calibrate "$model" -o "$folder" "${texts[@]}" --samples "$samples" "$@" >/dev/null 2>"$work/log"; then
            cat "$work/log" >&2
            echo "error: calibrating failed: $name" >&2
            exit 1
        fi
    fi
    "$vulcat" eval "$folder" "${texts[@]}" --last "$judged" --base "$model" --cpu --format json >"$work/eval.json" 2>"$work/log"
    bits=$("$vulcat" inspect "$folder" | grep -oE '[0-9.]+ in the ' | head -n 1 | cut -d' ' -f1)
    nll=$(value "$work/eval.json" mean_nll)
    over=$(difference "$nll" "$float")
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "${bits:-null}" "$nll" "$over" "$(value "$work/eval.json" mean)" \
        "$(value "$work/eval.json" same_top)" >>"$work/rows"
    echo "$name: $over over float" >&2
}

for activations in 4 8; do
    w=W4A$activations
    recipe "$w, none, nearest, largest weight" --transform none --activations $activations --scales absmax
    recipe "$w, none, nearest, groups of 128" --transform none --activations $activations --group-size 128
    recipe "$w, none, nearest, groups of 32" --transform none --activations $activations --group-size 32
    for rounding in nearest gptq; do
        how=(--rounding $rounding)
        recipe "$w, none, $rounding" --transform none --activations $activations "${how[@]}"
        recipe "$w, Hadamard, $rounding" --transform hadamard --activations $activations "${how[@]}"
        recipe "$w, block Hadamard 64 and permutation, $rounding" --transform block-hadamard --block 64 --permute mass \
            --activations $activations "${how[@]}"
        recipe "$w, block Hadamard 16, $rounding" --transform block-hadamard --block 16 --activations $activations "${how[@]}"
        recipe "$w, block Hadamard 16 and residual permutation, $rounding" --transform block-hadamard --block 16 \
            --permute-residual cat --activations $activations "${how[@]}"
        recipe "$w, CAT 64, $rounding" --transform cat --block 64 --activations $activations "${how[@]}"
        recipe "$w, CAT 64 and permutation, $rounding" --transform cat --block 64 --permute cat \
            --activations $activations "${how[@]}"
    done
    recipe "$w, full CAT, gptq" --transform cat --block full --activations $activations --rounding gptq
done
recipe "fast" --recipe fast
recipe "balanced" --recipe balanced
recipe "best" --recipe best
for bits in 2 2.5 3 4; do
    recipe "WaterSIC, $bits bits" --bits $bits
done

{
    printf 'Float: %s nats a token. Judged on the last %s texts of %s, calibrated on the first %s.\n\n' "$float" "$judged" \
        "$(basename "$text")" "$samples"
    echo '| recipe | bits a weight | NLL | over float | KL | same top token |'
    echo '|---|---:|---:|---:|---:|---:|'
    awk -F '\t' '{ printf "| %s | %s | %.4f | %.4f | %.4f | %.1f %% |\n", $1, $2, $3, $4, $5, 100 * $6 }' "$work/rows"
} >"$out.md"
{
    printf '{"model": "%s",\n "text": "the last %s texts of %s (the first %s calibrated)",\n "float_nll": %s,\n "rows": [\n' \
        "$(basename "$model")" "$judged" "$(basename "$text")" "$samples" "$float"
    awk -F '\t' '{ printf "%s  {\"recipe\": \"%s\", \"bits_per_weight\": %s, \"nll\": %s, \"nll_over_float\": %s, \"kl\": %s, \"same_top\": %s}",
                   (NR > 1 ? ",\n" : ""), $1, $2, $3, $4, $5, $6 }' "$work/rows"
    printf '\n ]}\n'
} >"$out.json"
cat "$out.md"

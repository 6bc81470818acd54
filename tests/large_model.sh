#!/usr/bin/env bash
# Calibrates a random model in the shapes of Llama-3.2-1B and holds time and peak memory against what --dry-run
# foretold. Takes half an hour and more, and 8 GB of disk; nothing calls it but people.
#   large_model.sh VULCAT RANDOM_LLAMA STORY_MODEL WORK_FOLDER [calibrate options]
# Options are --recipe balanced --samples 128 where none are given.
# RANDOM_LLAMA is the test program random_llama; STORY_MODEL lends its tokenizer and its texts.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
vulcat=$1 random=$2 story=$3 work=$4
shift 4
[ $# -gt 0 ] || set -- --recipe balanced --samples 128
mkdir -p "$work"
[ -e "$work/model/model.safetensors" ] || "$random" "$work/model" "$story"
calibrate=("$vulcat" calibrate "$work/model" -o "$work/out" --overwrite --text "$story/stories.txt"
           --separator '<|endoftext|>' "$@")
"${calibrate[@]}" --dry-run | tee "$work/foretold.md"
begin=$(date +%s)
/usr/bin/time -f '%M' -o "$work/peak" "${calibrate[@]}" >"$work/sites.md"
echo "took $(($(date +%s) - begin)) s, peak $(($(cat "$work/peak") / 1024)) MiB resident (mapped files included)"

#!/usr/bin/env bash
# Writes stories.txt, the text that the demo calibrates on and judges with: what the float model itself tells.
#   make_stories.sh VULCAT [COUNT]
set -euo pipefail
vulcat=$1 count=${2:-128}
model=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for ((seed = 1; seed <= count; seed++)); do
    "$vulcat" run "$model" --n-predict 400 --temp 0.9 --top-k 0 --top-p 0.95 --seed "$seed" 2>/dev/null
    echo '<|endoftext|>'
    printf '\r%d of %d' "$seed" "$count" >&2
done >"$model/stories.txt.new"
echo >&2
mv "$model/stories.txt.new" "$model/stories.txt"

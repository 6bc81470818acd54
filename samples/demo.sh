#!/usr/bin/env bash
# From a fresh checkout to a story: installs what is missing, builds, calibrates the bundled model to 4-bit weights and
# 4-bit activations with the CAT transform, prints what that cost in quality, and streams a story from the best
# Vulkan device found (Mesa's software driver where there is no other).
#   samples/demo.sh [PROMPT]
#   VULCAT_BUILD=folder   builds there instead of build/demo
set -euo pipefail
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$source_folder/samples/common.sh"

prompt=${1:-Once upon a time, there was a little cat named}
# shellcheck disable=SC2086  # a list of words
need_packages $kBuildPackages
build=${VULCAT_BUILD:-$source_folder/build/demo}
mkdir -p "$(dirname "$build")"
build_vulcat "$source_folder" "$build" -DVULCAT_BUILD_TESTS=OFF
vulcat=$build/samples/vulcat
model=$source_folder/samples/story_model
stories=(--text "$model/stories.txt" --separator '<|endoftext|>')

# The first stories of the file calibrate, the last ones judge. A finished folder is kept for the next call, until the
# program or the model is newer.
for transform in none hadamard cat; do
    baked=$build/story-w4a4-$transform
    [ "$baked/config.json" -nt "$vulcat" ] && [ "$baked/config.json" -nt "$model/model.safetensors" ] && continue
    say "Calibrating to 4-bit weights and 4-bit activations, transform: $transform"
    "$vulcat" calibrate "$model" -o "$baked" "${stories[@]}" --samples 96 --overwrite --weights 4 --activations 4 --transform "$transform" >"$baked.txt" ||
        fail "calibrating failed"
done

table=$build/quality.md
if [ ! "$table" -nt "$build/story-w4a4-cat/config.json" ]; then
    say "Measuring quality on $(basename "$model")'s last 32 stories"
    {
        echo '| model                      | NLL, nats/token | over float | KL divergence | same top token |'
        echo '|----------------------------|----------------:|-----------:|--------------:|---------------:|'
        for transform in none hadamard cat; do
            "$vulcat" eval "$build/story-w4a4-$transform" "${stories[@]}" --last 32 --base "$model" 2>"$build/eval.log" | awk -v transform="$transform" '
                /^Mean NLL \(nats\)/ { nll = $4 }
                /^Mean NLL \(base\)/ { base = $4 }
                /^NLL over base/     { over = $4 }
                /^Mean +KLD/         { kld = $4 }
                /^Same top p/        { same = $4 }
                END {
                    if (transform == "none") printf "| %-26s | %15.4f | %10s | %13s | %14s |\n", "float", base, "", "", ""
                    printf "| %-26s | %15.4f | %10.4f | %13.4f | %12.1f %% |\n", "W4A4, transform " transform, nll, over, kld, same
                }' || fail "measuring failed: $(grep -a '^error' "$build/eval.log")"
        done
    } >"$table.new"
    mv "$table.new" "$table"
fi
cat "$table"
echo
exec "$vulcat" run "$build/story-w4a4-cat" --prompt "$prompt" --n-predict 220 --temp 0.7 --seed "${VULCAT_SEED:-1}"

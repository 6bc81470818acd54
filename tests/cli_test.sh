#!/usr/bin/env bash
# The vulcat program as its users meet it: exit codes, one clear sentence for each mistake, data on stdout only,
# interrupted and failed work that leaves nothing half-written.
#   cli_test.sh VULCAT STORY_MODEL
set -uo pipefail
vulcat=$1 model=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/vulcat cli.XXXXXX")
export VULCAT_CACHE=$work/cache
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

note() { printf 'FAILED: %s\n' "$*"; failed=$((failed + 1)); }

# expect CODE PATTERN COMMAND...: the exit code, and the pattern in stderr, which holds at most one error line
expect() {
    local code=$1 pattern=$2 got
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ "$got" -ne "$code" ]; then
        note "exit code $got instead of $code: $*"
        tail -n 5 "$work/err"
    elif [ -n "$pattern" ] && ! grep -qiE -- "$pattern" "$work/err"; then
        note "stderr does not say /$pattern/: $*"
        tail -n 5 "$work/err"
    elif [ "$(grep -c '^error:' "$work/err")" -gt 1 ]; then
        note "more than one error line: $*"
    else
        passed=$((passed + 1))
    fi
}

# holds DESCRIPTION COMMAND...
holds() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then passed=$((passed + 1)); else note "$what"; fi
}

damaged() {  # damaged NAME: a copy of the model to damage, printed
    rm -rf "${work:?}/$1"
    cp -r "$model" "$work/$1"
    printf '%s' "$work/$1"
}

text=$model/stories.txt
calibrate=("$vulcat" calibrate)
few=(--text "$text" --separator '<|endoftext|>' --samples 6 --seq-len 96)

# ---- help and usage
expect 0 '' "$vulcat" --help
expect 0 '' "$vulcat" --version
for command in calibrate statistics report run eval devices inspect bench; do
    expect 0 '' "$vulcat" $command --help
    holds "$command --help shows its options" grep -qE -- '-' "$work/out"
done
expect 2 '' "$vulcat"
expect 2 "no command .paint" "$vulcat" paint
expect 2 'weights' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --weights 5
expect 2 'block' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --block 8
expect 2 'required' "${calibrate[@]}" "$model"
expect 2 "bits" "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --bits 3 --rounding gptq
expect 2 "least-sqnr" "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --least-sqnr 12
expect 2 "act-order" "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --act-order
expect 2 "permutation" "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --bits 3 --permute mass
expect 2 "permutation" "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --weights 16 --activations 16 --permute-residual mass
expect 2 'activations' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --weights 16 --activations 4

# ---- input files
expect 3 'config.json' "$vulcat" inspect "$work/nothing"
expect 3 'config.json' "$vulcat" run "$work/nothing" -p x -n 1
expect 3 'nothing.txt' "${calibrate[@]}" "$model" -o "$work/o" --text "$work/nothing.txt"
: >"$work/empty.txt"
expect 3 'empty.txt' "${calibrate[@]}" "$model" -o "$work/o" --text "$work/empty.txt"
expect 3 'separator' "${calibrate[@]}" "$model" -o "$work/o" --text "$text" --separator '<never>'
d=$(damaged truncated)
truncate -s -100 "$d/model.safetensors"
expect 3 'model.safetensors' "$vulcat" inspect "$d"
expect 3 'model.safetensors' "${calibrate[@]}" "$d" -o "$work/o" "${few[@]}"
d=$(damaged disagreeing)
sed -i 's/"hidden_size": 256/"hidden_size": 128/' "$d/config.json"
expect 3 'hidden_size|embed_tokens' "${calibrate[@]}" "$d" -o "$work/o" "${few[@]}"
expect 3 'hidden_size|embed_tokens' "$vulcat" run "$d" -p x -n 1
d=$(damaged half_config)
head -c 100 "$model/config.json" >"$d/config.json"
expect 3 'config.json' "$vulcat" run "$d" -p x -n 1
d=$(damaged no_tokenizer)
rm "$d/tokenizer.json"
expect 3 'tokenizer.json' "$vulcat" run "$d" -p x -n 1
d=$(damaged nan)  # all bits of the last weights set: BF16 NaN
size=$(stat -c %s "$d/model.safetensors")
printf '\377\377\377\377' | dd of="$d/model.safetensors" bs=1 seek=$((size - 4)) conv=notrunc status=none
expect 3 'NaN|finite' "${calibrate[@]}" "$d" -o "$work/o" "${few[@]}"
expect 3 'NaN|finite' "$vulcat" run "$d" -p x -n 1
holds "failed calibrations leave no output folder" test ! -e "$work/o"

# ---- devices
expect 0 '' "$vulcat" devices
holds "devices names a UUID and a reason" grep -qE 'uuid|chosen' "$work/out"
expect 0 '' "$vulcat" devices --format json
expect 4 'device|driver|vulkan' env VK_ICD_FILENAMES="$work/no_driver.json" VK_DRIVER_FILES="$work/no_driver.json" "$vulcat" devices
expect 4 'device|driver|vulkan' env VK_ICD_FILENAMES="$work/no_driver.json" VK_DRIVER_FILES="$work/no_driver.json" "$vulcat" run "$model" -p x -n 1
expect 4 'no-such-device' "$vulcat" run "$model" -p x -n 1 --device no-such-device

# ---- calibrate, run, eval, inspect on the story model
baked="$work/baked folder"
expect 0 '' "${calibrate[@]}" "$model" -o "$baked" "${few[@]}"
expect 2 'exists' "${calibrate[@]}" "$model" -o "$baked" "${few[@]}"
before=$(cd "$baked" && sha256sum ./* | sha256sum)
expect 2 'exists' "${calibrate[@]}" "$model" -o "$baked" "${few[@]}" --block 32
holds "an existing folder is left as it was" test "$before" = "$(cd "$baked" && sha256sum ./* | sha256sum)"
expect 0 '' "${calibrate[@]}" "$model" -o "$work/again" "${few[@]}" --threads 1
holds "the same command gives the same bytes, whatever the threads" cmp "$baked/model.safetensors" "$work/again/model.safetensors"
expect 0 '' "${calibrate[@]}" "$model" -o "$work/again" "${few[@]}" --block 32 --overwrite
holds "--overwrite replaces the folder" test "$(cmp "$baked/model.safetensors" "$work/again/model.safetensors" >/dev/null 2>&1; echo $?)" -eq 1
expect 0 '' "${calibrate[@]}" "$model" -o "$work/dry" "${few[@]}" --dry-run
holds "--dry-run foretells memory" grep -q 'peak memory' "$work/out"
holds "--dry-run writes nothing" test ! -e "$work/dry"
expect 0 '' "$vulcat" inspect "$baked" --tensors
holds "inspect names codes and bits" grep -qE 'q_proj.codes' "$work/out"
holds "the report page says what model it is" grep -q 'Calibration of story_model' "$baked/calibration_report.html"
rm "$baked/calibration_report.html"
expect 0 'over float' bash "$(dirname "$0")/quality_table.sh" "$vulcat" "$model" "$text" "$work/quality" --samples 2 --judged 2 \
    --only '^W4A8, none, nearest(, groups of 32)?$'
holds "the quality table has both recipes" test "$(grep -c '^| W4A8, none, nearest' "$work/quality.md")" -eq 2
expect 0 '' "$vulcat" report "$baked" --quality "$work/quality.json"
holds "report writes the page again, with the table" grep -q 'W4A8, none, nearest, groups of 32' "$baked/calibration_report.html"
expect 3 'calibration_report.json' "$vulcat" report "$model"
baselines=(--baselines --model "$model" --text "$text" --separator '<|endoftext|>' --samples 2 --last 1)
expect 0 '' "$vulcat" report "$baked" "${baselines[@]}"
holds "the page shows the baselines" grep -q 'nearest, asymmetric, groups of 32' "$baked/calibration_report.html"
holds "what made the baselines is gone" test ! -e "$baked.baseline"
mkdir "$baked.baseline"
expect 2 'in the way' "$vulcat" report "$baked" "${baselines[@]}"
holds "a folder in the way is left alone" test -d "$baked.baseline"
rmdir "$baked.baseline"
expect 2 'baselines' "$vulcat" report "$baked" --model "$model"
expect 3 'quality table' "$vulcat" report "$baked" --quality "$baked/calibration_report.json"
expect 0 '' "$vulcat" statistics "$model" -o "$work/share1" "${few[@]}" --share 1/2
expect 0 '' "$vulcat" statistics "$model" -o "$work/share2" "${few[@]}" --share 2/2
expect 0 '2 of 2 shares' "$vulcat" statistics "$model" -o "$work/merged" --merge "$work/share2" "$work/share1"
expect 0 '' "${calibrate[@]}" "$model" -o "$work/from_file" --statistics "$work/merged"
holds "a calibration from merged statistics is a model" test -s "$work/from_file/model.safetensors"
expect 2 'shares' "${calibrate[@]}" "$model" -o "$work/never" --statistics "$work/share1"
expect 2 'not both' "${calibrate[@]}" "$model" -o "$work/never" "${few[@]}" --statistics "$work/merged"
expect 2 'share1' "$vulcat" statistics "$model" -o "$work/never" --merge "$work/share1" "$work/share1"
expect 2 'share' "$vulcat" statistics "$model" -o "$work/never" "${few[@]}" --share 3/2
expect 3 'empty.txt' "$vulcat" statistics "$model" -o "$work/never" --merge "$work/share1" "$work/empty.txt"
holds "no statistics where they could not be right" test ! -e "$work/never"
expect 0 '' "$vulcat" run "$baked" -p 'Once upon a time' -n 12 --seed 1 --temp 0.8
cp "$work/out" "$work/first"
expect 0 '' "$vulcat" run "$baked" -p 'Once upon a time' -n 12 --seed 1 --temp 0.8
holds "the same seed tells the same story" cmp "$work/first" "$work/out"
holds "the story is UTF-8" iconv -f UTF-8 -t UTF-8 "$work/out"
expect 0 '' "$vulcat" run "$model" -p 'Once upon a time' -n 4
expect 2 'context' "$vulcat" run "$model" -p "$(yes word | head -n 2000 | tr '\n' ' ')" -n 4
expect 0 '' "$vulcat" eval "$baked" "${few[@]}" --base "$model"
holds "eval prints NLL, perplexity and KL divergence" grep -qiE 'KL' "$work/out"
expect 0 '' "$vulcat" eval "$baked" "${few[@]}" --cpu
expect 2 'rounding' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --rounding up
expect 2 'recipe' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --recipe quick
expect 2 'block' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --block wide
expect 2 'WaterSIC' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --bits 3 --transform cat
expect 2 'output layer' "${calibrate[@]}" "$model" -o "$work/o" "${few[@]}" --weights 16 --activations 16 --head-bits 8
expect 0 '' "${calibrate[@]}" "$model" -o "$work/head" "${few[@]}" --head-bits 4
holds "the table shows the output layer" grep -qE '^\| lm_head ' "$work/out"
expect 0 '' "$vulcat" inspect "$work/head" --tensors
holds "inspect shows the output layer's codes" grep -qE '^\| lm_head.codes ' "$work/out"
holds "and its site" grep -qE '^\| lm_head +\| +4 ' "$work/out"
expect 0 '' "$vulcat" run "$work/head" -p "One day" -n 8
expect 0 '' "${calibrate[@]}" "$model" -o "$work/coded" "${few[@]}" --bits 2.5
expect 0 '' "$vulcat" inspect "$work/coded"
holds "inspect shows coded bits per weight" grep -qE '8, coded in 2\.[0-9]+' "$work/out"
expect 0 '' "$vulcat" eval "$work/coded" "${few[@]}"
awk '/^Mean NLL \(nats\)/ { print $4 }' "$work/out" >"$work/device nll"
expect 0 '' "$vulcat" eval "$work/coded" "${few[@]}" --cpu
holds "an entropy-coded model says the same on the device and on the CPU" awk -v device="$(cat "$work/device nll")" '
    /^Mean NLL \(nats\)/ { found = 1; apart = $4 - device }
    END { exit !(found && device != "" && apart < 2e-3 && apart > -2e-3) }' "$work/out"
expect 0 '' "${calibrate[@]}" "$model" -o "$work/best" "${few[@]}" --recipe balanced --permute cat --permute-residual mass --auto --least-sqnr 12
expect 0 '' "$vulcat" run "$work/best" -p 'Once upon a time' -n 4
expect 0 '' "$vulcat" bench "$model" -p 16 -n 4 -r 1 --format json
expect 0 '' "$vulcat" bench --calibrate --width 128 -r 1 --format csv
expect 0 '' "$vulcat" bench "$model" -p 0 -n 4 -r 1 --profile --explain
holds "bench lists a layer's dispatches and the time outside kernels" sh -c "grep -q 'each layer' '$work/out' && grep -q 'outside kernels' '$work/out'"
holds "a profile's shares of work are one whole, beside the empty dispatch of each token" awk -F'|' '
    NF == 9 && $8 ~ /[0-9] %/ { sum += $8 } /^[|] empty +[|] +1[.]0 [|] +[0-9.]+ [|] +[|]/ { empty = 1 }
    END { exit !(empty && sum > 98 && sum < 102) }' "$work/out"
expect 0 '' "$vulcat" bench --kernels --shapes 64x96 --rows 1,5 --types w4a4,w4a8-g32,w16a16 --seconds 0.01 --format csv
holds "each kernel has copies and a peak beside it" awk '
    NR == 1 { head = /,% of copy,% of a copy as large,% of peak$/ }
    /^w[0-9]/ { ++rows; if (!/,[0-9]+[.][0-9],[0-9]+[.][0-9],[0-9]+[.][0-9]$/) exit bad = 1 }
    END { exit bad || !head || rows != 6 }' "$work/out"
expect 2 'MODEL_DIR' "$vulcat" bench --tune
expect 2 'needs --tune' "$vulcat" bench --candidates "$model"
expect 0 'kept in' "$vulcat" bench --tune --candidates "$model" --format csv
holds "bench --tune knows the linears of a float model" grep -q 'float_' "$work/out"
holds "bench --tune --candidates prints what was measured, lost or won" sh -c "grep -qE ',[0-9.]+,[0-9.]+,\$' '$work/out' &&
    grep -qE ',\"?kept' '$work/out' && grep -q 'built in' '$work/out'"
VULCAT_CACHE=off expect 0 '' "$vulcat" run "$work/best" -p 'Once upon a time' -n 12 --temp 0
mv "$work/out" "$work/untuned"
expect 0 'kept in' "$vulcat" bench --tune "$work/best" --format csv
holds "bench --tune prints a line for one token of a linear" grep -qE ',1,[a-z0-9_]+ x [0-9]+,' "$work/out"
holds "bench --tune keeps what it found" sh -c "ls '$work/cache' | grep -q '^tiles-'"
expect 0 '' "$vulcat" run "$work/best" -p 'Once upon a time' -n 12 --temp 0
holds "tuned kernels tell the same story" cmp "$work/out" "$work/untuned"
for file in "$work"/cache/*; do printf 'damaged' >"$file"; done
expect 0 '' "$vulcat" run "$work/best" -p 'Once upon a time' -n 12 --temp 0
holds "damaged files of the cache change nothing" cmp "$work/out" "$work/untuned"

# ---- interruption and a full disk
setsid "${calibrate[@]}" "$model" -o "$work/stopped" --text "$text" --separator '<|endoftext|>' --seq-len 512 --samples 0 >/dev/null 2>"$work/err" &
pid=$!
sleep 1
kill -INT $pid 2>/dev/null
wait $pid
code=$?
if [ $code -eq 130 ] && [ ! -e "$work/stopped" ]; then passed=$((passed + 1));
elif [ $code -eq 0 ]; then skipped=$((skipped + 1)); echo "SKIPPED: calibration ended before it could be interrupted"
else note "Ctrl-C gave exit code $code"; fi
if [ $code -eq 130 ]; then
    expect 0 '' "${calibrate[@]}" "$model" -o "$work/stopped" --text "$text" --separator '<|endoftext|>' --seq-len 512 --samples 0
fi
# behind COMMAND...: starts it as process $pid, with outputs that hold nothing of a command before when it goes on here.
behind() {
    : >"$work/out"
    : >"$work/err"
    setsid "$@" >"$work/out" 2>"$work/err" &
    pid=$!
}
# has_lines FILE COUNT: waits a minute for them.
has_lines() {
    for ((i = 0; i < 600; ++i)); do [ "$(wc -l <"$1")" -ge "$2" ] && break; sleep 0.1; done
}
# interrupt_bench FORMAT SIGNAL: the kernels' table with its first rows measured; the time it is given is far from enough
interrupt_bench() {
    behind "$vulcat" bench --kernels --seconds 0.2 --format "$1"
    # A shell's background command ignores SIGINT until the program listens, which it does before it names the device.
    if [ "$1" = json ]; then has_lines "$work/err" 1; sleep 3; else
        has_lines "$work/out" 4
        holds "bench --kernels prints rows of $1 as they are measured" test "$(wc -l <"$work/out")" -ge 4
    fi
    kill -"$2" $pid
    wait $pid
    code=$?
    if [ $code -eq 130 ]; then passed=$((passed + 1)); else note "SIG$2 during bench --kernels gave exit code $code"; fi
}
VULCAT_CACHE=$work/kept behind "$vulcat" bench --tune "$model" --format csv
has_lines "$work/out" 2
kill -TERM $pid 2>/dev/null
wait $pid
code=$?
if [ $code -eq 130 ]; then holds "an interrupted bench --tune keeps the linears that it knows" sh -c "ls '$work/kept' | grep -q '^tiles-'"
elif [ $code -eq 0 ]; then skipped=$((skipped + 1)); echo "SKIPPED: tuning ended before it could be interrupted"
else note "SIGTERM during bench --tune gave exit code $code"; fi
interrupt_bench csv TERM
interrupt_bench md INT
holds "the rows of a markdown table are as long as each other" awk '{ if (NR > 1 && length($0) != l) exit 1; l = length($0) }' "$work/out"
interrupt_bench json INT
holds "an interrupted bench --kernels leaves a whole json document" sh -c "head -n 1 '$work/out' | grep -qx '\[' &&
    tail -n 1 '$work/out' | grep -qx '\]' && grep -q '\"kernel\": \"copy' '$work/out'"
expect 2 'w3a3' "$vulcat" bench --kernels --types w4a4,w3a3 --format csv
holds "a wrong type is told before anything is measured" test ! -s "$work/out"
if mkdir "$work/small" && mount -t tmpfs -o size=1m tmpfs "$work/small" 2>/dev/null; then
    expect 1 'space|disk|full' "${calibrate[@]}" "$model" -o "$work/small/o" "${few[@]}"
    holds "a full disk leaves no output folder" test ! -e "$work/small/o"
    umount "$work/small"
else
    skipped=$((skipped + 1))
    echo "SKIPPED: a full disk needs the right to mount a small file system"
fi

echo "cli: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]

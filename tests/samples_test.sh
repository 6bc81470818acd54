#!/usr/bin/env bash
# The samples of embedding, each run briefly on the driver of the environment, under the validation layer with
# synchronisation validation: exit code 0, what they print, and not one message.
#   samples_test.sh SAMPLES_BUILD_FOLDER MODEL_FOLDER
# A sample that was not built (its packages are missing) or has no X server to draw to is skipped, and this is said.
set -uo pipefail
build=$1 model=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/vulcat-samples.XXXXXX")
display=
trap '[ -n "$display" ] && kill "$display"; rm -rf "$work"' EXIT
passed=0 failed=0
export VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation
export VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}  # lavapipe keeps memory until the process ends

# sample NAME PATTERN ARGUMENT...
sample() {
    local name=$1 pattern=$2 program=$build/$1/$1
    shift 2
    if [ ! -x "$program" ]; then echo "SKIPPED: $name was not built, its packages are missing"; return 1; fi
    "$program" "$@" >"$work/out" 2>&1
    local code=$?
    if [ $code -eq 0 ] && grep -qE "$pattern" "$work/out" && ! grep -qiE 'validation|VUID|SYNC-HAZARD' "$work/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name ended with $code and printed:"
        head -c 4000 "$work/out"
        return 1
    fi
}

sample c_minimal '^One day, a dog[A-Za-z ,.]{20,}' "$model" "One day, a dog" 16
sample embed_host_device '^5 rows through a .* dB$' 5
if command -v Xvfb >/dev/null; then
    Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp 3>"$work/display" >"$work/xvfb" 2>&1 &
    display=$!
    for _ in $(seq 100); do [ -s "$work/display" ] && break; sleep 0.1; done
    export DISPLAY=:$(cat "$work/display")
    if sample story_window 'p99 grows by .* tokens' "$model" --frames 4 --screenshot "$work/picture.png"; then
        # A picture of one colour would be a few hundred bytes.
        if [ "$(head -c 4 "$work/picture.png" | tail -c 3)" = PNG ] && [ "$(stat -c %s "$work/picture.png")" -gt 20000 ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED: story_window wrote no picture"
        fi
    fi
else
    echo "SKIPPED: story_window needs Xvfb here (Debian: apt-get install xvfb)"
fi
printf '%d checks passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]

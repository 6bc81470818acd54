#!/usr/bin/env bash
# vulcat beside llama.cpp's Vulkan backend on the same driver (the newest Mesa's lavapipe), run by run in turn: medians and
# ratios as a Markdown table. Needs the packages that VULCAT_SHARED/peers sets up; says so and ends well where they are missing.
#   tests/compare_peers.sh [--pairs 5] [--formats w4a8,w4a4,w4a16-g128] [--model BAKED_DIR MODEL.gguf]
#   VULCAT_BUILD=folder    uses the program built there instead of building build/peers
# "Rival" is its setting as it comes, "rival, best" the one with GGML_VK_DISABLE_COOPMAT=1 GGML_VK_DISABLE_F16=1.
set -euo pipefail
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$source_folder/samples/common.sh"

pairs=5
formats=w4a8,w4a4,w4a16-g128
baked=
gguf=
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2; shift 2 ;;
        --formats) formats=$2; shift 2 ;;
        --model) baked=$(realpath "$2"); gguf=$(realpath "$3"); shift 3 ;;
        *) fail "unknown argument: $1 (see the head of $0)" ;;
    esac
done
shared=${VULCAT_SHARED:-$source_folder/../shared}
root=${VULCAT_PEERS:-/opt/vulcat-peers}
rival_ops=/usr/libexec/x86_64-linux-gnu/llama.cpp-tests/test-backend-ops
skip() { say "SKIPPED: the comparison with peers: $*"; exit 0; }
[ -x "$shared/peers/run.sh" ] || skip "there is no $shared/peers"
[ -x "$root$rival_ops" ] || skip "llama.cpp is not in $root; $shared/peers/setup.sh installs it"

build=${VULCAT_BUILD:-$source_folder/build/peers}
if [ -z "${VULCAT_BUILD:-}" ]; then
    mkdir -p "$(dirname "$build")"
    build_vulcat "$source_folder" "$build" -DVULCAT_BUILD_TESTS=OFF
fi
# The tree of the peers sees only /tmp of the outside.
work=$(mktemp -d /tmp/vulcat-peers.XXXXXX)
trap 'rm -rf "$work"' EXIT
cp "$build/samples/vulcat" "$work/"

median() { sort -n | awk '{v[NR] = $1} END {if (NR) print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (a == "" || b == "" || b == 0) print "-"; else printf "%.2f", a / b}'; }
best_setting="GGML_VK_DISABLE_COOPMAT=1 GGML_VK_DISABLE_F16=1"

# rival_kernel BACKEND ROWS INPUTS [ENV]: GFLOP/s of its q4_0 matrix product with 4096 outputs.
rival_kernel() {
    VULCAT_PEERS_ENV="${4:-}" "$shared/peers/run.sh" "$rival_ops" perf -o MUL_MAT -b "$1" \
        -p "type_a=q4_0,type_b=f32,m=4096,n=$2,k=$3,bs=\[1,1\],nr=\[1,1\]" 2>/dev/null |
        sed 's/\x1b\[[0-9;]*m//g' | awk '{for (i = 2; i <= NF; i++) {
            if ($i == "TFLOPS") print $(i - 1) * 1000; if ($i == "GFLOPS") print $(i - 1); if ($i == "MFLOPS") print $(i - 1) / 1000}}' | head -n 1
}

# our_kernel ROWS INPUTS: the fastest of our formats, "GOP/s format".
our_kernel() {
    "$shared/peers/run.sh" "$work/vulcat" bench --kernels --shapes "4096x$2" --rows "$1" --types "$formats" --format json 2>/dev/null |
        awk -F'"' '/"kernel"/ {k = $4} /"GOP\/s"/ {split($0, p, /: */); v = p[2] + 0; if (k ~ /^w[0-9]/ && v > best) {best = v; name = k}} END {print best, name}'
}

kernel_row() {  # ROWS INPUTS
    local rows=$1 inputs=$2 i line
    : >"$work/rival"; : >"$work/rival_best"; : >"$work/cpu"; : >"$work/ours"; : >"$work/names"
    for ((i = 0; i < pairs; i++)); do
        say "    4096x$inputs, M $rows: pair $((i + 1)) of $pairs"
        rival_kernel Vulkan0 "$rows" "$inputs" >>"$work/rival"
        line=$(our_kernel "$rows" "$inputs")
        echo "${line% *}" >>"$work/ours"; echo "${line#* }" >>"$work/names"
        rival_kernel Vulkan0 "$rows" "$inputs" "$best_setting" >>"$work/rival_best"
        rival_kernel CPU "$rows" "$inputs" >>"$work/cpu"
    done
    local rival best cpu ours
    rival=$(median <"$work/rival"); best=$(median <"$work/rival_best"); cpu=$(median <"$work/cpu"); ours=$(median <"$work/ours")
    echo "| 4096x$inputs, M $rows ($(sort "$work/names" | uniq -c | sort -rn | awk 'NR == 1 {print $2}')) | GOP/s | $ours | $rival | $best | $cpu |" \
        "$(ratio "$ours" "$rival") | $(ratio "$ours" "$best") | $(ratio "$ours" "$cpu") |"
}

# rival_model TEST(pp128|tg32) ENV [ARGUMENTS]: tokens/s.
rival_model() {
    local arguments="-p 128 -n 0"
    [ "$1" = tg32 ] && arguments="-p 0 -n 32"
    # shellcheck disable=SC2086  # lists of words
    VULCAT_PEERS_ENV="$2" "$shared/peers/run.sh" llama-bench -m "$gguf_inside" $arguments -r 1 ${3:-} -o csv 2>/dev/null |
        awk -F'","' 'NR == 1 {for (i = 1; i <= NF; i++) {name = $i; gsub(/"/, "", name); if (name == "avg_ts") at = i}} NR == 2 {print $at}'
}
our_model() {
    local arguments="-p 128 -n 0"
    [ "$1" = tg32 ] && arguments="-p 0 -n 32"
    # shellcheck disable=SC2086
    "$shared/peers/run.sh" "$work/vulcat" bench "$baked_inside" $arguments -r 1 --format csv 2>/dev/null | awk -F, 'NR == 2 {print $2}'
}
model_row() {  # TEST
    local i
    : >"$work/rival"; : >"$work/rival_best"; : >"$work/cpu"; : >"$work/ours"
    for ((i = 0; i < pairs; i++)); do
        say "    $1: pair $((i + 1)) of $pairs"
        rival_model "$1" "" >>"$work/rival"
        our_model "$1" >>"$work/ours"
        rival_model "$1" "$best_setting" >>"$work/rival_best"
        rival_model "$1" "" "--device none" >>"$work/cpu"
    done
    local rival best cpu ours
    rival=$(median <"$work/rival"); best=$(median <"$work/rival_best"); cpu=$(median <"$work/cpu"); ours=$(median <"$work/ours")
    echo "| $1 of $(basename "$baked") | tokens/s | $ours | $rival | $best | $cpu | $(ratio "$ours" "$rival") | $(ratio "$ours" "$best") | $(ratio "$ours" "$cpu") |"
}

echo "| what | unit | vulcat | rival | rival, best | rival, its CPU code | over rival | over best | over its CPU |"
echo "|------|------|-------:|------:|------------:|--------------------:|-----------:|----------:|-------------:|"
if [ -n "$baked" ]; then
    baked_inside=$baked
    gguf_inside=$gguf
    case $baked in /tmp/*) ;; *) cp -r "$baked" "$work/model"; baked_inside=$work/model ;; esac
    case $gguf in /tmp/*) ;; *) cp "$gguf" "$work/model.gguf"; gguf_inside=$work/model.gguf ;; esac
    model_row tg32
    model_row pp128
else
    kernel_row 1 14336
    kernel_row 512 14336
fi

#!/usr/bin/env bash
# vulcat beside llama.cpp's Vulkan backend on the same driver (the newest Mesa's lavapipe), run by run in turn: medians and
# ratios as a Markdown table. Needs the packages that VULCAT_SHARED/peers sets up; says so and ends well where they are missing.
#   tests/compare_peers.sh [--pairs 5] [--formats w4a8,w4a4,w4a16-g128] [--shapes 4096x4096x1,4096x14336x1,4096x14336x512]
#                          [--model BAKED_DIR MODEL.gguf] [--best]
# With --model only the shapes that are named, which is none unless --shapes stands there too.
# --best leaves out the rival's setting as it comes, which takes minutes a prompt on CPU drivers.
# Shapes are OUTPUTSxINPUTSxROWS; with many rows only those of the rival's own list (4096x14336 by 1..8 and 512), see below.
#   VULCAT_BUILD=folder    uses the program built there (without MPI, which the tree of the peers has not) instead of building
#                          build/peers
# Whole models of random weights: tests' program random_baked writes ours, VULCAT_SHARED/peers/random_llama.py the rival's.
# "Rival" is its setting as it comes, "rival, best" the one with GGML_VK_DISABLE_COOPMAT=1 GGML_VK_DISABLE_F16=1. "Of FMA
# peak" is ours beside what 256-bit fused multiply-adds reach on all cores (tests/fma_peak.cpp), measured in each pair.
# On a busy machine `chrt -r 1 tests/compare_peers.sh` gives both sides the cores they ask for.
set -euo pipefail
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$source_folder/samples/common.sh"

pairs=5
formats=w4a8,w4a4,w4a16-g128
shapes=
baked=
gguf=
best_only=
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2; shift 2 ;;
        --formats) formats=$2; shift 2 ;;
        --shapes) shapes=$2; shift 2 ;;
        --best) best_only=1; shift ;;
        --model) baked=$(realpath "$2"); gguf=$(realpath "$3"); shift 3 ;;
        *) fail "unknown argument: $1 (see the head of $0)" ;;
    esac
done
[ -n "$shapes$baked" ] || shapes=4096x4096x1,4096x14336x1,4096x14336x512
shared=${VULCAT_SHARED:-$source_folder/../shared}
root=${VULCAT_PEERS:-/opt/vulcat-peers}
rival_ops=/usr/libexec/x86_64-linux-gnu/llama.cpp-tests/test-backend-ops
skip() { say "SKIPPED: the comparison with peers: $*"; exit 0; }
[ -x "$shared/peers/run.sh" ] || skip "there is no $shared/peers"
[ -x "$root$rival_ops" ] || skip "llama.cpp is not in $root; $shared/peers/setup.sh installs it"

build=${VULCAT_BUILD:-$source_folder/build/peers}
if [ -z "${VULCAT_BUILD:-}" ]; then
    mkdir -p "$(dirname "$build")"
    build_vulcat "$source_folder" "$build" -DVULCAT_BUILD_TESTS=OFF -DVULCAT_MPI=OFF
fi
# The tree of the peers sees only /tmp of the outside.
work=$(mktemp -d /tmp/vulcat-peers.XXXXXX)
trap 'rm -rf "$work"' EXIT
cp "$build/samples/vulcat" "$work/"
g++ -O2 -mavx2 -mfma -pthread "$source_folder/tests/fma_peak.cpp" -o "$work/fma_peak" || skip "no AVX2 and FMA here to measure against"

median() { sort -n | awk '{v[NR] = $1} END {if (NR) print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (a == "" || b == "" || b == 0) print "-"; else printf "%.2f", a / b}'; }
best_setting="GGML_VK_DISABLE_COOPMAT=1 GGML_VK_DISABLE_F16=1"

# Its own list has few shapes; a file names others, which it repeats by their bytes, not their operations: nothing for many rows,
# where it would take an hour. The file: operation (29 is MUL_MAT), type, extents of the result, parameters, then the
# sources with type (2 is q4_0, of 18 bytes for 32 weights; 0 is f32), extents and strides in bytes.
describe_product() {  # OUTPUTS INPUTS ROWS
    local n=$1 k=$2 m=$3 row=$(($2 / 32 * 18))
    echo "29 0 $n $m 1 1 0 2 2 $k $n 1 1 18 $row $((row * n)) $((row * n)) 0 $k $m 1 1 4 $((4 * k)) $((4 * k * m)) $((4 * k * m)) product"
}

# rival_kernel BACKEND OUTPUTS INPUTS ROWS [ENV]: GOP/s of its q4_0 matrix product.
rival_kernel() {
    local which=(-o MUL_MAT -p "type_a=q4_0,type_b=f32,m=$2,n=$4,k=$3,bs=\\[1,1\\],nr=\\[1,1\\]")
    if [ "$4" -le 8 ]; then
        describe_product "$2" "$3" "$4" >"$work/product"
        which=(--test-file "$work/product")
    fi
    VULCAT_PEERS_ENV="${5:-}" "$shared/peers/run.sh" "$rival_ops" perf "${which[@]}" -b "$1" >"$work/rival_log" 2>&1 ||
        fail "the rival failed on $1: $(tail -n 3 "$work/rival_log")"
    awk -v operations="$((2 * $2 * $3 * $4))" '/MUL_MAT/ {for (i = 2; i <= NF; i++) if ($i == "us/run") {print operations / $(i - 1) * 1e-3; exit}}' "$work/rival_log"
}

# our_kernel OUTPUTS INPUTS ROWS: the fastest of our formats, "GOP/s format".
our_kernel() {
    "$shared/peers/run.sh" "$work/vulcat" bench --kernels --shapes "$1x$2" --rows "$3" --types "$formats" --format json 2>"$work/our_log" |
        awk -F'"' '/"kernel"/ {k = $4} /"GOP\/s"/ {split($0, p, /: */); gsub(/[",]/, "", p[2]); v = p[2] + 0
            if (k ~ /^w[0-9]/ && v > best) {best = v; name = k}} END {print best, name}'
}

kernel_row() {  # OUTPUTS INPUTS ROWS
    local outputs=$1 inputs=$2 rows=$3 i line backend
    for backend in rival rival_best cpu ours names peak; do : >"$work/$backend"; done
    for ((i = 0; i < pairs; i++)); do
        say "    ${outputs}x$inputs, M $rows: pair $((i + 1)) of $pairs"
        [ -n "$best_only" ] || rival_kernel Vulkan0 "$outputs" "$inputs" "$rows" >>"$work/rival"
        line=$(our_kernel "$outputs" "$inputs" "$rows")
        echo "${line% *}" >>"$work/ours"; echo "${line#* }" >>"$work/names"
        rival_kernel Vulkan0 "$outputs" "$inputs" "$rows" "$best_setting" >>"$work/rival_best"
        rival_kernel CPU "$outputs" "$inputs" "$rows" >>"$work/cpu"
        "$work/fma_peak" >>"$work/peak"
    done
    local rival best cpu ours peak
    rival=$(median <"$work/rival"); best=$(median <"$work/rival_best"); cpu=$(median <"$work/cpu"); ours=$(median <"$work/ours")
    peak=$(median <"$work/peak")
    echo "| ${outputs}x$inputs, M $rows ($(sort "$work/names" | uniq -c | sort -rn | awk 'NR == 1 {print $2}')) | GOP/s | $ours | $rival | $best | $cpu |" \
        "$(ratio "$ours" "$rival") | $(ratio "$ours" "$best") | $(ratio "$ours" "$cpu") | $(ratio "$ours" "$peak") |"
}

# rival_model TEST(pp128|tg32) ENV [ARGUMENTS]: tokens/s.
rival_model() {
    local arguments="-p 128 -n 0"
    [ "$1" = tg32 ] && arguments="-p 0 -n 32"
    # shellcheck disable=SC2086  # lists of words
    VULCAT_PEERS_ENV="$2" "$shared/peers/run.sh" llama-bench -m "$gguf_inside" $arguments -r 1 ${3:-} -o json 2>/dev/null |
        awk -F: '/"avg_ts"/ {print $2 + 0; exit}'
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
        [ -n "$best_only" ] || rival_model "$1" "" >>"$work/rival"
        our_model "$1" >>"$work/ours"
        rival_model "$1" "$best_setting" >>"$work/rival_best"
        rival_model "$1" "" "--device none" >>"$work/cpu"
    done
    local rival best cpu ours
    rival=$(median <"$work/rival"); best=$(median <"$work/rival_best"); cpu=$(median <"$work/cpu"); ours=$(median <"$work/ours")
    echo "| $1 of $(basename "$baked") | tokens/s | $ours | $rival | $best | $cpu | $(ratio "$ours" "$rival") | $(ratio "$ours" "$best") | $(ratio "$ours" "$cpu") | - |"
}

echo "| what | unit | vulcat | rival | rival, best | rival, its CPU code | over rival | over best | over its CPU | of FMA peak |"
echo "|------|------|-------:|------:|------------:|--------------------:|-----------:|----------:|-------------:|------------:|"
if [ -n "$baked" ]; then
    baked_inside=$baked
    gguf_inside=$gguf
    case $baked in /tmp/*) ;; *) cp -r "$baked" "$work/model"; baked_inside=$work/model ;; esac
    case $gguf in /tmp/*) ;; *) cp "$gguf" "$work/model.gguf"; gguf_inside=$work/model.gguf ;; esac
    model_row tg32
    model_row pp128
fi
for shape in ${shapes//,/ }; do
    # shellcheck disable=SC2086  # three words
    kernel_row ${shape//x/ }
done

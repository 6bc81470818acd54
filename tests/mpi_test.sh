#!/usr/bin/env bash
# What 1, 2 and 3 processes under mpirun gather and calibrate equals the work of one process up to the order of sums,
# and a failure ends all of them.
#   mpi_test.sh VULCAT STORY_MODEL COMPARE
# COMPARE A B exits 0 when two files of statistics agree. Exit code 77: skipped, as mpirun is not here.
set -uo pipefail
vulcat=$1 model=$2 compare=$3
command -v mpirun >/dev/null || { echo "SKIPPED: no mpirun"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/vulcat mpi.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Containers have no second host to ask and often run as root.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none OPENBLAS_NUM_THREADS=1
few=(--text "$model/stories.txt" --separator '<|endoftext|>' --samples 7 --seq-len 48 --threads 1)
failed=0
fail() { echo "FAILED: $*"; failed=1; }

"$vulcat" statistics "$model" -o "$work/one" "${few[@]}" || fail "one process"
for ranks in 1 2 3; do
    if mpirun -n $ranks "$vulcat" statistics "$model" -o "$work/ranks$ranks" "${few[@]}" 2>"$work/log"; then
        "$compare" "$work/one" "$work/ranks$ranks" || fail "$ranks processes gathered something else"
    else
        cat "$work/log"
        grep -q 'built without MPI' "$work/log" && { echo "SKIPPED: built without MPI"; exit 77; }
        fail "mpirun -n $ranks"
    fi
    [ "$(grep -c '^Wrote' "$work/log")" -eq 1 ] || fail "not exactly one of $ranks processes spoke"
done
# Whole calibrations, with rounding that looks at the model quantised so far. Sums in another order may move a code that
# lies on the edge of a cell, so losses are compared, not bytes.
nll() { "$vulcat" eval "$1" "${few[@]}" --cpu --format json | awk '$1 == "\"mean_nll\":" { print $2 + 0 }'; }
"$vulcat" calibrate "$model" -o "$work/alone" "${few[@]}" --rounding gptq --head-bits 8 >/dev/null 2>&1 || fail "calibrating alone"
alone=$(nll "$work/alone")
for ranks in 2 3; do
    mpirun -n $ranks "$vulcat" calibrate "$model" -o "$work/together$ranks" "${few[@]}" --rounding gptq --head-bits 8 >"$work/sites" 2>"$work/log" ||
        { cat "$work/log"; fail "calibrating with $ranks processes"; }
    [ "$(grep -c 'mlp.down' "$work/sites")" -eq 1 ] || fail "not exactly one of $ranks processes printed"
    together=$(nll "$work/together$ranks")
    echo "NLL: $alone alone, $together with $ranks processes"
    awk -v a="$alone" -v b="$together" 'BEGIN { exit !(a > 0 && b - a < 0.005 && a - b < 0.005) }' || fail "another model with $ranks processes"
    [ ! -e "$work/together$ranks.partial" ] || fail "work in progress is left behind"
done
# Shares and processes together: each share by two processes.
for share in 1 2; do
    mpirun -n 2 "$vulcat" statistics "$model" -o "$work/share$share" "${few[@]}" --share $share/2 2>/dev/null || fail "share $share"
done
"$vulcat" statistics "$model" -o "$work/merged" --merge "$work/share1" "$work/share2" || fail "merging"
"$compare" "$work/one" "$work/merged" || fail "merged shares are something else"
# One sentence and an end, not a wait, when a process cannot go on.
timeout 60 mpirun -n 2 "$vulcat" statistics "$model" -o "$work/no such folder/x" "${few[@]}" >"$work/out" 2>&1
code=$?
[ $code -ne 0 ] && [ $code -ne 124 ] || fail "a failure ended with exit code $code"
grep -q 'error:' "$work/out" || fail "a failure without a sentence"
exit $failed

#!/bin/bash
# What a real GPU makes of vulcat, in one command: is every variant right there, how fast are the kernels beside the
# device's own copy speed and multiply-adds, how far is prefill from the best int8 library on the machine, and what does
# tuning find for a model.
#
#   tests/gpu_report.sh [BUILD_FOLDER [DEVICE]]      default: build auto
#
# Parts that a machine cannot run are named in a line that begins with SKIPPED. The exit status is that of the tests.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
device=${2:-auto}
vulcat=$build/samples/vulcat
skip() { echo "SKIPPED: $*"; }
[ -x "$vulcat" ] || { echo "error: no program $vulcat: build the project, or name its build folder" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A process each, several at a time: a device that is lost in one case is not lost in the others.
run_case() {
  local log
  log=$(mktemp "$WORK/case.XXXXXX")
  # A name that matches nothing runs nothing, and that is no success.
  "$TEST" --test-case="${1//,/?}" >"$log" 2>&1 && grep -q 'test cases: *[1-9]' "$log" || { echo "WRONG: $1"; tail -n 30 "$log"; }
}
export -f run_case
test_kernels() {
  export WORK=$work TEST=$build/tests/kernels_test VULCAT_TEST_DEVICE=$1
  "$TEST" --list-test-cases | grep -v '^\[doctest\]\|^===' >"$work/cases"
  xargs -d '\n' -P "$(nproc)" -I{} bash -c 'run_case "$1"' _ {} <"$work/cases" | tee "$work/wrong"
  echo "$(wc -l <"$work/cases") test cases, $(grep -c '^WRONG' "$work/wrong") wrong"
  [ -s "$work/cases" ] && [ ! -s "$work/wrong" ]
}

echo "## Devices"
"$vulcat" devices --device "$device" || exit 1

echo; echo "## Right? Each variant against its CPU twin, under validation"
failed=0
# The tests take a device by its index; on a CPU driver ctest has run them already.
index=$("$vulcat" devices --device "$device" --format json |
        awk -F'[:,] *' '/"index"/ { index_ = $2 } /"type"/ { type = $2 } /"chosen": true/ && type != "\"CPU\"" { print index_ }')
if [[ "$index" =~ ^[0-9]+$ ]]; then
  if [ ! -x "$build/tests/kernels_test" ]; then skip "kernels_test is not built"
  elif test_kernels "$index"; then echo "Kernels: right"
  else echo "Kernels: WRONG"; failed=1; fi
else
  skip "the chosen device is a CPU"
fi

echo; echo "## Kernels"
shapes=4096x4096,14336x4096,4096x14336
many=512,4096
[[ "$index" =~ ^[0-9]+$ ]] || { shapes=4096x4096; many=32; }  # a CPU would take hours
# A weak one could take so long for a large product that a desktop takes it for hung.
"$vulcat" devices --device "$device" --format json | awk '/"type"/ { type = $0 } /"chosen": true/ { print type }' |
  grep -q integrated && many=512
bench() { "$vulcat" bench --kernels --device "$device" --shapes "$1" --rows "$2" --types "$3" --format csv 2>>"$work/errors"; }
# Rows as they come: where time runs out, those measured are there.
show() {
  local cells width=() i
  sed -u 's/"\([^"]*\), \([^"]*\)"/\1 \2/' | while IFS=, read -ra cells; do
    [ "${cells[0]}" = kernel ] && for ((i = 3; i < ${#cells[@]}; ++i)); do width[i]=$((${#cells[i]} > 9 ? ${#cells[i]} : 9)); done
    printf '%-18s  %-19s  %-29s' "${cells[@]:0:3}"
    for ((i = 3; i < ${#cells[@]}; ++i)); do printf '  %*s' "${width[i]}" "${cells[i]}"; done
    echo
  done
}
{ bench $shapes 1,4,16,$many w4a8,w4a4 && bench $shapes,128256x4096 1,4,16 w4a4-g128,w4a16-g128; } | tee "$work/kernels.csv" | show || failed=1

echo; echo "## int8 matrix product of PyTorch on this machine, TOP/s, and ours beside it"
if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  python3 - "$work/kernels.csv" <<'PYTHON'
import csv, sys, time, statistics, torch
ours = {}
for row in csv.DictReader(open(sys.argv[1])):
    if row["kernel"] in ("w4a8", "w4a4"):
        ours[row["kernel"], row["shape"]] = float(row["GOP/s"]) / 1000
for n, k in ((4096, 4096), (14336, 4096), (4096, 14336)):
    for m in (512, 4096):
        a = torch.randint(-127, 128, (m, k), dtype=torch.int8, device="cuda")
        b = torch.randint(-8, 8, (n, k), dtype=torch.int8, device="cuda").t()
        for _ in range(200):  # a GPU that has waited runs slowly at first
            torch._int_mm(a, b)
        times = []
        for _ in range(9):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for _ in range(20):
                torch._int_mm(a, b)
            torch.cuda.synchronize()
            times.append((time.perf_counter() - begin) / 20)
        seconds = statistics.median(times)
        best = 2e-12 * m * n * k / seconds
        shape = f"M {m}, {n}x{k}"
        parts = [f"{name} {ours[name, shape]:.0f} ({100 * ours[name, shape] / best:.0f} %)" for name in ("w4a8", "w4a4") if (name, shape) in ours]
        # The milliseconds stand beside those of the tiles that tuning measures below.
        print(f"{shape}: PyTorch {best:.0f} ({1000 * seconds:.3f} ms), " + ", ".join(parts), flush=True)
PYTHON
else
  skip "PyTorch with CUDA is not installed here"
fi

echo; echo "## A model of two layers of 8 B, with transforms: tuned, and where its time goes"
# Every tile that the tuner measured, beside those that are built in.
if [ -x "$build/tests/random_baked" ]; then
  HEAD_BITS=16 "$build/tests/random_baked" "$work/model" samples/story_model cat 8 4096 14336 2 32 8 128 4096 >/dev/null || failed=1
  export VULCAT_CACHE=$work/cache
  "$vulcat" bench "$work/model" --tune --candidates --device "$device" 2>>"$work/errors" || failed=1
  for VULCAT_CACHE in off "$work/cache"; do
    echo; [ "$VULCAT_CACHE" = off ] && echo "### Untuned" || echo "### Tuned"
    "$vulcat" bench "$work/model" -p 512 -n 64 -r 3 --profile --device "$device" 2>>"$work/errors" || failed=1
  done
else
  skip "random_baked is not built (cmake --build $build --target random_baked)"
fi

# What the program said beside its tables: progress, warnings, and errors.
grep -i "error\|warning" "$work/errors"
exit $failed

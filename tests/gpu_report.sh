#!/bin/bash
# What a real GPU makes of vulcat, in one command: is every variant right there, how fast are the kernels beside the
# device's own copy speed and multiply-adds, and how far is prefill from the best int8 library on the machine.
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

echo "## Devices"
"$vulcat" devices --device "$device" || exit 1

echo; echo "## Right? Each variant against its CPU twin, under validation"
failed=0
# The tests take a device by its index; on a CPU driver ctest has run them already.
index=$("$vulcat" devices --device "$device" --format json |
        awk -F'[:,] *' '/"index"/ { index_ = $2 } /"type"/ { type = $2 } /"chosen": true/ && type != "\"CPU\"" { print index_ }')
if [[ "$index" =~ ^[0-9]+$ ]]; then
  if [ ! -x "$build/tests/kernels_test" ]; then skip "kernels_test is not built"
  elif VULCAT_TEST_DEVICE=$index "$build/tests/kernels_test"; then echo "Kernels: right"
  else echo "Kernels: WRONG"; failed=1; fi
else
  skip "the chosen device is a CPU"
fi

echo; echo "## Kernels"
shapes=4096x4096,14336x4096,4096x14336
"$vulcat" bench --kernels --device "$device" --shapes $shapes --rows 1,4,16,128,512 --types w4a16-g128,w4a8,w4a4,w4a4-g128 || failed=1

echo; echo "## int8 matrix product of PyTorch, TOP/s (w4a8 and w4a4 prefill should reach 60 % of it)"
if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  python3 - "$shapes" <<'PYTHON'
import sys, time, statistics, torch
for shape in sys.argv[1].split(","):
    n, k = map(int, shape.split("x"))
    for m in (512, 4096):
        a = torch.randint(-127, 128, (m, k), dtype=torch.int8, device="cuda")
        b = torch.randint(-8, 8, (n, k), dtype=torch.int8, device="cuda").t()
        for _ in range(5):
            torch._int_mm(a, b)
        times = []
        for _ in range(9):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for _ in range(20):
                torch._int_mm(a, b)
            torch.cuda.synchronize()
            times.append((time.perf_counter() - begin) / 20)
        print(f"M {m}, {n}x{k}: {2e-12 * m * n * k / statistics.median(times):.1f}")
PYTHON
else
  skip "PyTorch with CUDA is not installed here"
fi
exit $failed

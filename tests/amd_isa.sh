#!/usr/bin/env bash
# What the kernels of an 8 B Llama become on AMD GPUs that are not here: RADV compiles for a GPU that RADV_FORCE_FAMILY names,
# without one, and amd_isa prints what it says of each pipeline: vector registers, those spilled, scalar ones spilled (to lanes of
# vector registers), bytes of scratch and shared memory, subgroups a SIMD holds, bytes of code; and counts in its machine code:
# vector instructions, dot products, float multiply-adds, slow 32-bit multiplications, moves between scalars and lanes, vector
# loads of 128 bits of all, scalar loads. Specialisation constants stand behind each module's name.
#   tests/amd_isa.sh BUILD [FAMILY...]     default: gfx1100 or navi31 (RDNA3), navi21 (RDNA2), vega20 (GCN with dot products)
#   VULCAT_LISTINGS=folder                 leaves the machine code there
#   VULCAT_RADV_ICD=file                   another RADV than the system's
# Ends with 1 when a pipeline spills vector registers or uses scratch memory, with 77 where RADV has no such device.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,12s/^# *//p' "$0" >&2; exit 2; }
build=$1
shift
[ $# -gt 0 ] || set -- gfx1100 navi31 navi21 vega20
icd=${VULCAT_RADV_ICD:-/usr/share/vulkan/icd.d/radeon_icd.x86_64.json}
[ -e "$icd" ] || { echo "SKIPPED: AMD's code: there is no $icd"; exit 77; }
export VK_ICD_FILENAMES=$icd VK_DRIVER_FILES=$icd MESA_SHADER_CACHE_DISABLE=true
result=77
for family in "$@"; do
    listings=${VULCAT_LISTINGS:+$VULCAT_LISTINGS/$family}
    [ -z "$listings" ] || mkdir -p "$listings"
    code=0
    text=$(RADV_FORCE_FAMILY=$family "$build/tests/amd_isa" ${listings:+"$listings"} 2>&1) || code=$?
    if [[ $text != *"Null hardware"* ]]; then
        echo "SKIPPED: AMD's code for $family, which this RADV makes no null device of"
        continue
    fi
    printf '%s\n' "$text"
    [ $code -eq 0 ] || result=1
    [ $result -ne 77 ] || result=0
done
exit $result

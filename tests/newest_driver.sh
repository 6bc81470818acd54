#!/usr/bin/env bash
# Runs the GPU tests once more on the newest Mesa driver, in the folder tree of packages that VULCAT_SHARED/peers keeps
# (see its README). Where that is missing, or cannot be set up, it says so and ends well.
#   tests/newest_driver.sh BUILD
set -euo pipefail
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$source_folder/samples/common.sh"

build=$(cd "$1" && pwd)
shared=${VULCAT_SHARED:-$source_folder/../shared}
skip() { say "SKIPPED: the GPU tests on the newest driver: $*"; exit 0; }

[ -x "$shared/peers/run.sh" ] || skip "there is no $shared/peers"
[ "$(id -u)" -eq 0 ] || skip "setting it up needs root"
root=${VULCAT_PEERS:-/opt/vulcat-peers}
if [ ! -e "$root/usr/share/vulkan/icd.d/lvp_icd.json" ]; then
    say "Setting up the newest driver in $root"
    "$shared/peers/setup.sh" drivers >"$build/newest_driver.log" 2>&1 || skip "setting it up failed (log: $build/newest_driver.log)"
fi

# The tree sees only /tmp of the outside.
work=$(mktemp -d /tmp/vulcat-newest.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tests" "$work/shared"
cp -r "$shared/data" "$work/shared/"
cp -r "$source_folder/samples/story_model" "$work/"
mapfile -t names < <(ctest --test-dir "$build" --show-only=human -L lavapipe -E 'cli_test|sample|packag' |
    sed -n 's/.*: \(.*_test\)\.lavapipe$/\1/p' | sort -u)
[ ${#names[@]} -gt 0 ] || fail "no GPU tests in $build"
failed=()
for name in "${names[@]}"; do
    cp "$build/tests/$name" "$work/tests/"
    layers=()
    if [ "$name" = fault_walk_test ]; then
        mkdir "$work/layer"
        cp "$build/tests/fault_layer/libvulcat_fault_layer.so" "$work/layer/"
        sed 's|"library_path": *"[^"]*"|"library_path": "'"$work/layer/libvulcat_fault_layer.so"'"|' \
            "$build/tests/fault_layer/VkLayer_vulcat_fault.json" >"$work/layer/VkLayer_vulcat_fault.json"
        layers=(VK_LAYER_PATH="$work/layer:/usr/share/vulkan/explicit_layer.d" VK_INSTANCE_LAYERS=VK_LAYER_VULCAT_fault
            VULCAT_FAULT_LIBRARY="$work/layer/libvulcat_fault_layer.so")
    fi
    if "$shared/peers/run.sh" env "${layers[@]}" VULCAT_SHARED="$work/shared" VULCAT_STORY_MODEL="$work/story_model" "$work/tests/$name" >"$work/log" 2>&1; then
        say "    passed on the newest driver: $name, $(sed -n 's/.*assertions: *\([0-9]*\).*/\1/p' "$work/log" | tail -n 1) checks"
        grep -h SKIPPED "$work/log" >&2 || true
    else
        failed+=("$name")
        tail -n 40 "$work/log" >&2
    fi
done
[ ${#failed[@]} -eq 0 ] || fail "failed on the newest driver: ${failed[*]}"
say "All ${#names[@]} GPU tests passed on the newest driver."

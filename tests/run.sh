#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test on every Vulkan driver that is here.
#   tests/run.sh              everything
#   tests/run.sh -R gemm      arguments go to ctest
#   VULCAT_BUILD=folder       builds there instead of build/tests
set -euo pipefail
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$source_folder/samples/common.sh"

# shellcheck disable=SC2086  # lists of words
need_packages $kBuildPackages $kTestPackages
build=${VULCAT_BUILD:-$source_folder/build/tests}
mkdir -p "$(dirname "$build")"
build_vulcat "$source_folder" "$build"
say "Testing"
# Two at a time: much of a GPU test is one thread that compiles shaders.
ctest --test-dir "$build" --output-on-failure --parallel 2 "$@"
[ $# -gt 0 ] || "$source_folder/tests/newest_driver.sh" "$build"

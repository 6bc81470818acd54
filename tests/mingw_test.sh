#!/usr/bin/env bash
# The library for Windows, cross-compiled with Debian's MinGW: static and as a DLL, and the C sample linked with each.
#   mingw_test.sh VULCAT_SOURCE WORK_FOLDER
# Nothing is run. Debian has no PCRE2 for Windows, so its header is this system's (it is the same file everywhere), and what is
# linked is an import library of the DLL that PCRE2 is on Windows, made from the names that vulcat uses.
set -uo pipefail
source_folder=$1 work=$2
target=x86_64-w64-mingw32
root=$work/root
for tool in g++-posix gcc-posix windres dlltool objdump nm; do
    command -v $target-$tool >/dev/null ||
        { echo "SKIPPED: no $target-$tool here (Debian: apt-get install g++-mingw-w64-x86-64-posix)"; exit 77; }
done
passed=0 failed=0
holds() {
    local what=$1
    shift
    if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$what"
        tail -n 30 "$work/log"
        printf '%d checks passed, %d failed\n' "$passed" "$failed"
        exit 1
    fi
}

# What a Windows developer has installed: headers, CMake packages, PCRE2. None of it from /usr/include, where glibc's are.
mkdir -p "$root/include" "$root/lib" "$root/share/cmake"
for name in pcre2.h nlohmann vulkan vk_video; do
    holds "this system's $name" cp -r --update "/usr/include/$name" "$root/include/"
done
holds "this system's CMake package of nlohmann_json" cp -r --update /usr/share/cmake/nlohmann_json "$root/share/cmake/"
grep -oE '\bpcre2_[a-z_]+\(' "$source_folder/runtime/text/pattern.cpp" | tr -d '(' | sort -u | sed 's/$/_8/' |
    sed '1i LIBRARY libpcre2-8-0.dll\nEXPORTS' >"$work/pcre2.def"
holds "an import library of PCRE2" $target-dlltool -d "$work/pcre2.def" -l "$root/lib/libpcre2-8.dll.a"

launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
export PKG_CONFIG_LIBDIR=$root/lib/pkgconfig  # and not this system's
for kind in static shared; do
    shared=OFF && [ $kind = shared ] && shared=ON
    holds "configuring the $kind library" cmake -S "$source_folder" -B "$work/build" -G Ninja -DCMAKE_SYSTEM_NAME=Windows \
        -DCMAKE_CXX_COMPILER=$target-g++-posix -DCMAKE_RC_COMPILER=$target-windres -DCMAKE_FIND_ROOT_PATH="$root" \
        -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
        -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -DVULCAT_BUILD_CALIBRATE=OFF -DVULCAT_BUILD_PROGRAM=OFF -DVULCAT_BUILD_SAMPLES=OFF -DVULCAT_BUILD_TESTS=OFF \
        -DVULCAT_UNITY=ON -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_CXX_FLAGS=-Werror "${launcher[@]}" \
        -DBUILD_SHARED_LIBS=$shared
    holds "building the $kind library" cmake --build "$work/build" --target vulcat
    rm -rf "${work:?}/$kind"
    holds "installing the $kind library" cmake --install "$work/build" --component library --prefix "$work/$kind"
    define=() && [ $kind = shared ] && define=(-DVULCAT_SHARED)
    holds "linking the C sample with the $kind library" $target-gcc-posix -std=c99 "${define[@]}" -I "$work/$kind/include" \
        "$source_folder/samples/c_minimal/main.c" -o "$work/$kind.exe" -L "$work/$kind/lib" -lvulcat -L "$root/lib" -lpcre2-8 -lstdc++
done
exports() { $target-objdump -p "$1" | sed -n '/\[Ordinal\/Name Pointer\] Table/,/^$/s/^[[:space:]]*\[ *[0-9]*\].* //p' | LC_ALL=C sort; }
exports "$work/shared/bin/libvulcat.dll" >"$work/exports.txt"
holds "the DLL exports what tests/packaging/symbols.txt lists" diff "$source_folder/tests/packaging/symbols.txt" "$work/exports.txt"
uses() { $target-objdump -p "$1" | sed -n 's/.*DLL Name: //p' | tr '[:upper:]' '[:lower:]' | sort; }
holds "the DLL does not link the Vulkan loader" bash -c '! grep -q vulkan' <<<"$(uses "$work/shared/bin/libvulcat.dll")"
printf '%d checks passed, %d failed\n' "$passed" "$failed"

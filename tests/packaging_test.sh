#!/usr/bin/env bash
# vulcat as other projects meet it: installed and found by CMake or by pkg-config, added as a folder, fetched; each static
# and shared. Each of these eight consumers compiles the README's C++ example and the C sample, runs both on the driver of
# the environment, and must tell the same story. Also: the samples built alone, what the packages hold, what the library
# exports and needs, the program.
#   packaging_test.sh VULCAT_SOURCE VULCAT_BUILD WORK_FOLDER
# VULCAT_BUILD is a finished build of the static library: the static package is installed from it. All else comes from one
# build inside of a consumer in WORK_FOLDER, which is kept, so that vulcat is compiled for it only the first time.
set -uo pipefail
source_folder=$1 main_build=$2 work=$3
here=$source_folder/tests/packaging
model=$source_folder/samples/story_model
example_c=$source_folder/samples/c_minimal/main.c
passed=0 failed=0
mkdir -p "$work"
unset DESTDIR CMAKE_PREFIX_PATH LD_LIBRARY_PATH

finish() {
    printf '%d checks passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
}
note() { printf 'FAILED: %s\n' "$*"; failed=$((failed + 1)); }
# holds DESCRIPTION COMMAND...: passes when the command does; its output is shown when it does not
holds() {
    local what=$1
    shift
    if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else note "$what"; tail -n 30 "$work/log"; return 1; fi
}
# same DESCRIPTION EXPECTED GOT
same() {
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else note "$1"; diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"); fi
}
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | LC_ALL=C sort; }

# ---- the headers
printf '#include "vulcat.h"\nint main(void) { return 0; }\n' >"$work/header.c"
holds "vulcat.h is C99 to the letter" cc -std=c99 -pedantic-errors -Wall -Wextra -Wstrict-prototypes -Werror \
    -fsyntax-only -I "$source_folder/runtime/api" "$work/header.c"
printf '#include "vulcat.hpp"\nint main() { return 0; }\n' >"$work/header.cpp"
holds "vulcat.hpp is C++17" c++ -std=c++17 -pedantic-errors -Wall -Wextra -Wconversion -Werror \
    -fsyntax-only -I "$source_folder/runtime/api" "$work/header.cpp"

# ---- the examples
awk '/^```cpp/ { on = 1; next } /^```/ { if (on) exit } on' "$source_folder/README.md" >"$work/example.cpp"
holds "the README has a C++ example with tellStory()" grep -q 'void tellStory(const std::string&' "$work/example.cpp" || finish
printf '#include <iostream>\nint main(int, char** a) { tellStory(a[1], std::cout); }\n' >>"$work/example.cpp"
told=''
# runs NAME FOLDER: both examples of one consumer
runs() {
    local c cpp
    c=$("$2/example_c" "$model" "Once upon a time" 40 2>&1) || note "$1: the C example failed"
    cpp=$("$2/example_cpp" "$model" 2>&1) || note "$1: the C++ example failed"
    same "$1: the C example tells another story" "${told:=$c}" "$c"
    same "$1: the two examples disagree" "$c" "Once upon a time$cpp"
}

# consumer KIND TAKE FOLDER OPTION...: builds and runs a consumer with CMake
consumer() {
    local kind=$1 take=$2 build=$3
    shift 3
    holds "$take, $kind: configuring" cmake -S "$here" -B "$build" -G Ninja -DTAKE="$take" -DEXAMPLE_C="$example_c" \
        -DEXAMPLE_CPP="$work/example.cpp" "$@" || finish
    holds "$take, $kind: building" cmake --build "$build" || finish
    runs "$take, $kind" "$build"
    same "$take, $kind: what is linked" "$kind" "$(needed "$build/example_c" | grep -q '^libvulcat\.so' && echo shared || echo static)"
}

# ---- inside another project: add_subdirectory and FetchContent, one build folder for all four
inside=("$work/inside" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DVULCAT_UNITY=ON -DVULCAT_SOURCE="$source_folder" -DVULCAT_INSTALL=ON)
command -v ccache >/dev/null && inside+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
consumer static add_subdirectory "${inside[@]}" -DBUILD_SHARED_LIBS=OFF
[ ${#told} -gt 60 ] || note "the C example tells no story: $told"
consumer static fetch_content "${inside[@]}" -DBUILD_SHARED_LIBS=OFF
consumer shared fetch_content "${inside[@]}" -DBUILD_SHARED_LIBS=ON
consumer shared add_subdirectory "${inside[@]}" -DBUILD_SHARED_LIBS=ON

# ---- installed: find_package and pkg-config
for kind in static shared; do
    from=$main_build && [ $kind = shared ] && from=$work/inside/_deps/vulcat-build
    rm -rf "$work/first-$kind" "$work/$kind"
    holds "installing the $kind library" cmake --install "$from" --component library --prefix "$work/first-$kind" || finish
    # A package that is moved still works, and nothing in it points back to where it was built.
    prefix=$work/$kind
    mv "$work/first-$kind" "$prefix"
    lib=$(dirname "$(find "$prefix" -name 'libvulcat.*' | head -n 1)")
    same "files of the $kind package" "include/vulcat.h include/vulcat.hpp include/vulcat_device.h include/vulcat_layer.h LIB/cmake/vulcat/vulcatConfig.cmake LIB/cmake/vulcat/vulcatConfigVersion.cmake\
 LIB/cmake/vulcat/vulcatPcre2.cmake LIB/cmake/vulcat/vulcatTargets.cmake LIB/pkgconfig/vulcat.pc share/doc/vulcat/LICENSE" \
        "$(cd "$prefix" && find . ! -type d ! -name 'libvulcat*' ! -name 'vulcatTargets-*' | sed "s,^\./,,; s,^${lib#"$prefix"/}/,LIB/," | LC_ALL=C sort -f | xargs)"
    holds "no file of the $kind package names the folders it came from" \
        bash -c '! grep -rlF -e "$1" -e "$2" -e first- "$3/cmake" "$3/pkgconfig"' _ "$source_folder" "$from" "$lib"

    consumer $kind find_package "$work/find-$kind" -DCMAKE_PREFIX_PATH="$prefix"

    build=$work/pkg-config-$kind
    mkdir -p "$build"
    export PKG_CONFIG_PATH=$lib/pkgconfig
    static=() && [ $kind = static ] && static=(--static)
    # shellcheck disable=SC2162  # pkg-config writes the blanks of a path as "\ "
    read -a flags < <(pkg-config "${static[@]}" --cflags --libs vulcat)
    holds "pkg-config, $kind: C" cc -std=c99 "$example_c" -o "$build/example_c" "${flags[@]}" || finish
    holds "pkg-config, $kind: C++" c++ -std=c++17 "$work/example.cpp" -o "$build/example_cpp" "${flags[@]}" || finish
    LD_LIBRARY_PATH=$lib runs "pkg-config, $kind" "$build"
    holds "$kind: no Vulkan loader is linked" bash -c '! readelf -d "$1" | grep -i vulkan' _ "$build/example_cpp"
done

# ---- the samples, each built alone against the installed package
for sample in c_minimal embed_host_device story_window; do
    holds "$sample alone: configuring" cmake -S "$source_folder/samples/$sample" -B "$work/alone/$sample" -G Ninja \
        -DCMAKE_BUILD_TYPE=Debug -DCMAKE_PREFIX_PATH="$work/static" || continue
    holds "$sample alone: building" cmake --build "$work/alone/$sample"
done
same "c_minimal alone tells another story" "$told" "$("$work/alone/c_minimal/c_minimal" "$model" "Once upon a time" 40 2>&1)"
if grep -q embed_host_device.dir "$work/alone/embed_host_device/build.ninja"; then  # else the Vulkan loader is not installed
    holds "embed_host_device alone" "$work/alone/embed_host_device/embed_host_device" 3
fi

# ---- the program
if [ -x "$main_build/samples/vulcat" ]; then
    rm -rf "$work/program"
    holds "installing the program" cmake --install "$main_build" --component program --prefix "$work/program"
    same "files of the program's package" "bin/vulcat share/doc/vulcat/LICENSE" \
        "$(cd "$work/program" && find . ! -type d | sed 's,^\./,,' | LC_ALL=C sort | xargs)"
    holds "the installed program tells its version" "$work/program/bin/vulcat" --version
fi

# ---- the shared library: what it gives, what it needs, what it is called
library=$(find "$work/shared" -name libvulcat.so)
version=$(awk '/^#define VULCAT_VERSION_(MAJOR|MINOR|PATCH) / { printf "%s%s", dot, $3; dot = "." }' "$source_folder/runtime/api/vulcat.h")
abi=${version%%.*} && [ "$abi" = 0 ] && abi=${version%.*}
same "exported symbols (those which tests/packaging/symbols.txt lists)" "$(cat "$here/symbols.txt")" \
    "$(nm -D --defined-only "$library" | awk '{ print $3 }' | LC_ALL=C sort)"
same "functions of the header (tests/packaging/interface.sh tells how to change symbols.txt)" "$(cat "$here/symbols.txt")" \
    "$("$here/interface.sh" symbols "$source_folder/runtime/api/vulcat.h")"
[ "$(uname -m)" != x86_64 ] || same "structs of the header (tests/packaging/interface.sh tells how to change layout.txt)" \
    "$(cat "$here/layout.txt")" "$("$here/interface.sh" layout "$source_folder/runtime/api/vulcat.h")"
same "the name under which programs look for the shared library" "libvulcat.so.$abi" \
    "$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')"
same "pkg-config's version" "$version" "$(pkg-config --modversion vulcat)"
same "what the shared library needs besides the compiler's own" "libpcre2-8.so.0" \
    "$(needed "$library" | grep -vE '^(libc|libm|libdl|libpthread|libstdc\+\+|libgcc_s|ld-linux.*)\.so')"
# A version that is too new, or that the semantic versions say is another interface, is refused.
for asked in 0.99 9.0; do
    holds "find_package refuses version $asked" bash -c '! cmake -S "$1" -B "$2" -G Ninja -DTAKE=find_package -DASK=$3 -DCMAKE_PREFIX_PATH="$4"' \
        _ "$here" "$work/refused" $asked "$work/shared"
done
finish

# Shared by samples/demo.sh and tests/run.sh: installing packages and building. Sourced, not run.

# Messages go to stderr, so that a script's stdout is its data.
say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# need_packages NAME...: installs the Debian packages that are missing; silent and quick when none is.
need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "these packages are needed and apt-get is not here to install them: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "run this as root, or install sudo, or install: ${missing[*]}"
        as_root=(sudo env DEBIAN_FRONTEND=noninteractive)  # sudo drops the environment
    fi
    say "Installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -q >&2 || fail "apt-get update failed"
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 || fail "apt-get install failed"
}

kBuildPackages="g++ cmake ninja-build pkg-config libvulkan-dev libvulkan1 mesa-vulkan-drivers glslc
    libeigen3-dev libopenblas-pthread-dev nlohmann-json3-dev libcli11-dev libpcre2-dev"
kTestPackages="doctest-dev libglm-dev vulkan-validationlayers chromium
    libglfw3-dev libimgui-dev libstb-dev xvfb g++-mingw-w64-x86-64-posix libopenmpi-dev openmpi-bin"

# build_vulcat SOURCE BUILD [CMAKE_OPTION...]: configures and builds; a second call only builds what changed.
build_vulcat() {
    local source=$1 build=$2
    shift 2
    say "Building in $build"
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >"$build.log" 2>&1 ||
        { tail -n 40 "$build.log" >&2; fail "configuring failed (whole log: $build.log)"; }
    cmake --build "$build" >>"$build.log" 2>&1 ||
        { tail -n 40 "$build.log" >&2; fail "building failed (whole log: $build.log)"; }
}

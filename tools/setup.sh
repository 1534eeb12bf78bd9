#!/usr/bin/env bash
# Installs what building gqe needs, on Debian 12, with apt; only what is missing, so it can be run again at any time.
#   tools/setup.sh         compiler, build tools, Vulkan loader and Mesa's CPU driver
#   tools/setup.sh test    and what the tests need: clang, MinGW, cmocka, Doxygen, the validation layer, SwiftShader as a second driver
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(gcc libc6-dev cmake ninja-build pkg-config glslang-tools libvulkan-dev libvulkan1 mesa-vulkan-drivers libcjson-dev
    libstb-dev)
test_packages=(g++ clang libclang-rt-14-dev llvm clang-format libcmocka-dev librandom123-dev vulkan-validationlayers
    python3-jsonschema doxygen gcc-mingw-w64-x86-64-posix g++-mingw-w64-x86-64-posix dpkg-dev libsdl2-dev xvfb)

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $* (and there is no sudo)"
    fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@"; }

# Runs a command; its output is shown only if it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ $status = 0 ] || tail -n 40 "$log" >&2
    rm -f "$log"
    return $status
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_missing() {
    local missing=() package
    for package; do is_installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "there is no apt-get: install by other means: ${missing[*]}"
    say "installing ${missing[*]}"
    quietly apt_get update || say "apt-get update failed in part: going on"
    quietly apt_get install --no-install-recommends "${missing[@]}" || die "apt-get install failed"
}

case ${1:-} in
"") install_missing "${packages[@]}" ;;
test) install_missing "${packages[@]}" "${test_packages[@]}" ;;
*) die "unknown argument '$1': tools/setup.sh [test]" ;;
esac
say "ready"

#!/usr/bin/env bash
# Builds the library, static and as a DLL, and the program for 64-bit Windows, with mingw-w64, in build-mingw/, and checks what comes out.
# cJSON has no Debian package for MinGW: its source package is fetched with apt, from the machine's own sources, and built here.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/build-mingw
toolchain=$PWD/cmake/mingw-w64.cmake
prefix=$folder/prefix
gcc=x86_64-w64-mingw32-gcc-posix
gxx=x86_64-w64-mingw32-g++-posix

die() {
    printf 'mingw: error: %s\n' "$*" >&2
    exit 1
}

# The machine's apt sources as sources of source packages, in a folder of their own: the machine's settings and lists stay as they are.
fetch_source() {
    local package=$1 to=$2 list options
    mkdir -p "$to"/{parts,lists/partial,cache/archives/partial}
    for list in /etc/apt/sources.list.d/*.sources; do
        [ ! -e "$list" ] || sed -E 's/^Types:.*/Types: deb-src/' "$list" >"$to/parts/$(basename "$list")"
    done
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -e "$list" ] || sed -nE 's/^deb(-src)?([[:space:]])/deb-src\2/p' "$list" | sort -u >"$to/parts/$(basename "$list")"
    done
    options=(-q -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$to/parts" -o "Dir::State::lists=$to/lists"
        -o "Dir::Cache=$to/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" update || true # a source of something else may fail; then the next line says whether it matters
    (cd "$to" && apt-get "${options[@]}" source "$package") || die "the source package $package could not be fetched"
    rm -rf "$to"/{parts,lists,cache}
}

build_cjson() {
    [ ! -e "$prefix/lib/pkgconfig/libcjson.pc" ] || return 0
    rm -rf "$folder/cjson"
    fetch_source cjson "$folder/cjson"
    cmake -S "$folder"/cjson/cjson-*/ -B "$folder/cjson/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF \
        -DENABLE_CJSON_TEST=OFF -DENABLE_CUSTOM_COMPILER_FLAGS=OFF -DCMAKE_C_FLAGS=-DCJSON_HIDE_SYMBOLS
    cmake --build "$folder/cjson/build"
    cmake --install "$folder/cjson/build"
}

# Headers alone, and those of no system: the machine's /usr/include as a whole is not for Windows.
link_headers() {
    local name
    mkdir -p "$prefix/include"
    for name in vulkan vk_video stb; do
        [ -d "/usr/include/$name" ] || die "/usr/include/$name is missing: tools/setup.sh"
        ln -sfn "/usr/include/$name" "$prefix/include/$name"
    done
}

# build static|shared OPTIONS...: both in one folder, for its SPIR-V.
build() {
    local kind=$1
    shift
    PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig cmake -S . -B "$folder/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$folder/installed-$kind" -DGQE_VULKAN_HEADERS="$prefix/include" \
        -DGQE_STB_HEADERS="$prefix/include" -DCMAKE_FIND_ROOT_PATH="$prefix" -DGQE_BUILD_TESTS=OFF -DGQE_WERROR=ON "$@"
    cmake --build "$folder/build"
    rm -rf "$folder/installed-$kind"
    cmake --install "$folder/build"
}

# check_imports FILE NAMES: it needs those DLLs of the system, or fewer.
check_imports() {
    local file=$1 allowed=$2 foreign
    foreign=$(x86_64-w64-mingw32-objdump -p "$file" | sed -n 's/.*DLL Name: //p' | grep -viE "^($allowed)\.dll$" || true)
    [ -z "$foreign" ] || die "$(basename "$file") needs $foreign"
}

# The DLL exports what the headers declare, no more and no less.
check_exports() {
    local declared exported
    declared=$(grep -rhoP '^GQE_API .*?\bgqe_\w+(?=\()' include | grep -oP '\w+$' | sort)
    exported=$(x86_64-w64-mingw32-objdump -p "$1" |
        awk '!NF { table = 0 } table { print $NF } /Ordinal\/Name Pointer/ { table = 1 }' | sort)
    diff <(echo "$declared") <(echo "$exported") || die "declared (<) and exported (>) functions differ"
}

check_headers() {
    local header warnings="-Wall -Wextra -Wpedantic -Werror -fsyntax-only"
    for header in include/gqe/*.h; do
        # shellcheck disable=SC2086
        "$gcc" -std=c11 $warnings -x c -Iinclude -I"$prefix/include" "$header"
        # shellcheck disable=SC2086
        "$gxx" -std=c++17 $warnings -x c++ -Iinclude -I"$prefix/include" "$header"
    done
}

build_cjson
link_headers
check_headers
build static -DBUILD_SHARED_LIBS=OFF
build shared -DBUILD_SHARED_LIBS=ON
check_imports "$folder/installed-static/bin/gqe.exe" 'kernel32|msvcrt|shell32'
check_imports "$folder/installed-shared/bin/gqe.exe" 'kernel32|msvcrt|shell32|libgqe-[0-9]+'
check_imports "$folder"/installed-shared/bin/libgqe-*.dll 'kernel32|msvcrt'
check_exports "$folder"/installed-shared/bin/libgqe-*.dll
echo "built for Windows: build-mingw/installed-static, build-mingw/installed-shared"

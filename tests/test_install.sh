#!/usr/bin/env bash
# What a project that embeds gqe relies on: static and shared, installed and moved, found by CMake and by pkg-config, or added as a
# subfolder; only gqe_* exported, no library needed but libc, libm and cJSON; headers that C11 and C++17 accept without a warning.
# Needs no Vulkan driver: the programs run on the reference device, but for those that are about sharing a device or a desktop.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
example=$source_dir/examples/minimal
CC=${CC:-cc}
work=$(mktemp -d)
display_server=
clean_up() {
    [ -z "$display_server" ] || kill "$display_server"
    rm -rf "$work"
}
trap clean_up EXIT
unset CFLAGS CXXFLAGS LDFLAGS LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH

fail() {
    printf 'test_install: %s\n' "$*" >&2
    exit 1
}

# Runs a command; its output is shown only if it fails.
quietly() {
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "failed: $*"
    }
}

# build SOURCE FOLDER OPTIONS...
build() {
    local source=$1 folder=$2
    shift 2
    quietly cmake -S "$source" -B "$folder" "$@"
    ! grep -A2 'CMake Warning' "$work/log" || fail "CMake warns about $source"
    quietly cmake --build "$folder" --parallel "$(nproc)"
}

# check_example PROGRAM
check_example() {
    local said
    said=$("$1" "$source_dir/models/gqe-2m" "In the beginning God created the heaven and the ear" reference)
    [[ $said =~ ^[0-9]\.[0-9]{4}" bits per byte, then '".+"'"$ ]] || fail "$1 said: $said"
}

# install_and_move shared|static OPTIONS...: the prefix is $work/shared or $work/static, which is not where it was installed. Both are
# built in one folder, for its SPIR-V.
install_and_move() {
    local kind=$1
    shift
    build "$source_dir" "$work/build" -DCMAKE_INSTALL_PREFIX="$work/first" -DCMAKE_INSTALL_LIBDIR=lib \
        -DGQE_BUILD_TESTS=OFF -DGQE_BUILD_PROGRAM=OFF -DGQE_WERROR=ON "$@"
    quietly cmake --install "$work/build"
    mv "$work/first" "$work/$kind"
    ! grep -rF -e "$work" -e "$source_dir" "$work/$kind/lib/cmake" "$work/$kind/lib/pkgconfig" || fail "absolute paths"
}

# check_found shared|static: the example, through find_package and through pkg-config
check_found() {
    local prefix=$work/$1 flags pc
    build "$example" "$work/example-$1" -DCMAKE_PREFIX_PATH="$prefix"
    check_example "$work/example-$1/minimal"

    flags=$([ "$1" = shared ] || echo --static)
    pc=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config $flags --cflags --libs gqe)
    [[ $1 = shared || " $pc " == *" -pthread "* ]] || fail "gqe.pc's private libraries lack -pthread: $pc"
    # shellcheck disable=SC2086
    quietly "$CC" -std=c11 "$example/main.c" $pc -lm -o "$work/minimal-$1"
    LD_LIBRARY_PATH=$prefix/lib check_example "$work/minimal-$1"
}

# The example that owns the Vulkan device: built, and run where the environment names a driver in GQE_INSTALL_DRIVER.
check_shared_device() {
    local program=$work/example-device/shared_device
    build "$source_dir/examples/shared_device" "$work/example-device" -DCMAKE_PREFIX_PATH="$work/shared"
    [ -z "${GQE_INSTALL_DRIVER:-}" ] || quietly env VK_ICD_FILENAMES="$GQE_INSTALL_DRIVER" "$program"
}

start_display() {
    Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp 3>"$work/display" >"$work/display.log" 2>&1 &
    display_server=$!
    while [ ! -s "$work/display" ]; do
        kill -0 "$display_server" || fail "Xvfb does not start: $(cat "$work/display.log")"
        sleep 0.1
    done
    DISPLAY=:$(cat "$work/display")
    export DISPLAY
}

# The window in the picture: its colours, and a bar that has begun and has not ended.
check_picture() {
    python3 - "$1" <<-'END' || fail "the picture of the window is not as it should be"
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		offset, width, height, bits = (struct.unpack_from(form, data, at)[0] for form, at in (("<I", 10), ("<i", 18), ("<i", 22), ("<H", 28)))
		def pixel(x, y):  # rows go upwards, colours are blue, green, red
		    return tuple(data[offset + ((height - 1 - y) * width + x) * 3:][:3])
		colors = {pixel(x, y) for x in range(0, width, 3) for y in range(0, height, 3)}
		print(width, height, bits, len(colors), pixel(41, 410), pixel(735, 396))
		sys.exit((width, height, bits) != (960, 540, 24) or len(colors) < 20 or pixel(41, 410) == pixel(735, 396))
	END
}

# The example with a window: built, and run on a display that nobody sees. It presses its cancel button itself when it has drawn 30 frames
# while the model reads and the reading has got ahead. How long frames took is for the reader.
check_desktop() {
    local said
    build "$source_dir/examples/desktop" "$work/example-desktop" -DCMAKE_PREFIX_PATH="$work/shared"
    [ -n "${GQE_INSTALL_DRIVER:-}" ] || return 0
    start_display
    said=$(VK_ICD_FILENAMES=$GQE_INSTALL_DRIVER SDL_VIDEODRIVER=x11 "$work/example-desktop/desktop" --screenshot "$work/desktop.bmp" \
        --frames 30 "$source_dir/models/gqe-2m" "$source_dir/models/heldout.txt") || fail "the example desktop fails"
    echo "desktop: $said"
    [[ $said =~ ^([0-9]+)" frames while reading, the longest "[0-9.]+" ms; cancelled after "([0-9]+)" of "([0-9]+)" tokens"$ ]] ||
        fail "the example desktop said: $said"
    [ "${BASH_REMATCH[1]}" -ge 30 ] || fail "only ${BASH_REMATCH[1]} frames"
    [ "${BASH_REMATCH[2]}" -gt 0 ] && [ "${BASH_REMATCH[2]}" -lt "${BASH_REMATCH[3]}" ] || fail "not cancelled midway: $said"
    check_picture "$work/desktop.bmp"
}

# Exactly the functions that the headers declare are exported, and nothing beyond libc, libm and cJSON is needed.
check_shared_library() {
    local library=$work/shared/lib/libgqe.so needed
    grep -rhoP '^GQE_API .*?\bgqe_\w+(?=\()' "$work/shared/include" | grep -oP '\w+$' | sort >"$work/declared"
    nm -D --defined-only "$library" | awk '{ print $NF }' | sort >"$work/exported"
    [ -s "$work/declared" ] || fail "no function found in the headers"
    diff "$work/declared" "$work/exported" || fail "declared (<) and exported (>) functions differ"
    needed=$(readelf -d "$library" | grep -oP 'NEEDED.*\[\K[^]]+' | grep -vE '^(libc|libm|libcjson|ld-linux.*)\.so' || true)
    [ -z "$needed" ] || fail "libgqe.so needs $needed"
    readelf -d "$library" | grep -E 'SONAME.*\[libgqe\.so\.[0-9]+\]' >/dev/null || fail "libgqe.so has no soname"
}

# Shaders included.
check_size() {
    local bytes
    strip -o "$work/stripped" "$work/shared/lib/libgqe.so"
    bytes=$(stat -c %s "$work/stripped")
    [ "$bytes" -le $((2 << 20)) ] || fail "libgqe.so has $bytes bytes, stripped; more than 2 MiB"
}

# A static library shares its names with the whole program.
check_static_library() {
    local foreign
    foreign=$(nm -g --defined-only "$work/static/lib/libgqe.a" | awk 'NF == 3 && $3 !~ /^gqe_/ { print $3 }')
    [ -z "$foreign" ] || fail "libgqe.a has global names without gqe_: $foreign"
}

check_headers() {
    local header include=$work/shared/include warnings="-Wall -Wextra -Wpedantic -Werror -fsyntax-only" cxx
    cxx=$(command -v g++ || command -v clang++ || true)
    [ -n "$cxx" ] || echo "no C++ compiler: C++17 not checked"
    for header in "$include"/gqe/*.h; do
        quietly "$CC" -std=c11 $warnings -x c -I"$include" "$header"
        [ -z "$cxx" ] || quietly "$cxx" -std=c++17 $warnings -x c++ -I"$include" "$header"
    done
}

# A project with settings of its own for its targets: gqe builds all the same, and adds no flag, test, file to install or build type.
check_subfolder() {
    local parent=$work/parent
    mkdir "$parent"
    cat >"$parent/CMakeLists.txt" <<-END
		cmake_minimum_required(VERSION 3.22)
		project(parent LANGUAGES C)
		enable_testing()
		set(CMAKE_C_STANDARD 99)
		set(CMAKE_C_EXTENSIONS OFF)
		set(CMAKE_UNITY_BUILD ON)
		add_subdirectory($source_dir gqe)
		add_executable(parent $example/main.c)
		target_link_libraries(parent gqe::gqe m)
		install(TARGETS parent)
		get_target_property(options gqe INTERFACE_COMPILE_OPTIONS)
		get_property(directory_options DIRECTORY PROPERTY COMPILE_OPTIONS)
		foreach(leak IN ITEMS "\${options}" "\${directory_options}" "\${CMAKE_BUILD_TYPE}" "\${CMAKE_C_FLAGS}")
		  if(leak)
		    message(FATAL_ERROR "gqe has set \${leak}")
		  endif()
		endforeach()
	END
    build "$parent" "$parent/build" -DCMAKE_INSTALL_PREFIX="$parent/prefix"
    check_example "$parent/build/parent"
    quietly cmake --install "$parent/build"
    [ "$(cd "$parent/prefix" && find . -type f)" = ./bin/parent ] || fail "a parent project installs files of gqe"
    ctest --test-dir "$parent/build" -N | grep '^Total Tests: 0$' >/dev/null || fail "a parent project gets tests of gqe"
}

install_and_move shared -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release
check_shared_library
check_size
check_headers
check_found shared
check_shared_device
check_desktop
install_and_move static -DBUILD_SHARED_LIBS=OFF -DCMAKE_BUILD_TYPE=Debug
check_static_library
check_found static
check_subfolder
echo "installed, found and embedded: all as promised"

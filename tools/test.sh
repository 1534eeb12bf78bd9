#!/usr/bin/env bash
# Installs what is missing, builds with gcc, clang and MinGW, and passes the whole suite: formatting, the reference documentation,
# every test on lavapipe and SwiftShader under the validation layer, the goldens with the prebuilt SPIR-V, the host's parts and the
# injected faults under AddressSanitizer and UndefinedBehaviorSanitizer, threads under ThreadSanitizer, and the fuzzers for a fixed
# number of inputs. Stops at the first step that fails and shows what it said.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)

# step TITLE COMMAND...: one line for a step that passes; the end of its output for one that fails.
step() {
    local title=$1 began=$SECONDS log
    shift
    log=$(mktemp)
    printf '%-60s ' "$title"
    if "$@" >"$log" 2>&1; then
        printf 'ok, %d s\n' $((SECONDS - began))
        rm -f "$log"
    else
        printf 'FAILED\n\n'
        tail -n 60 "$log"
        rm -f "$log"
        exit 1
    fi
}

check_format() {
    find include runtime shaders tools tests bench examples -path shaders/prebuilt -prune -o \( -name '*.c' -o -name '*.h' \) -print0 |
        xargs -0 clang-format --dry-run --Werror
}

# build FOLDER COMPILER OPTIONS...
build() {
    local folder=$1 compiler=$2
    shift 2
    CC=$compiler cmake -S . -B "$folder" -G Ninja -DGQE_WERROR=ON -DGQE_BUILD_TESTS=ON "$@" && cmake --build "$folder"
}

# Two of everything, under ThreadSanitizer.
check_threads() {
    CC=gcc cmake -S . -B build-threads -G Ninja -DGQE_WERROR=ON -DGQE_SANITIZE_THREADS=ON -DGQE_BUILD_PROGRAM=OFF &&
        cmake --build build-threads --target test_concurrency unit_threads &&
        ctest --test-dir build-threads -R '^(concurrency|unit_threads):' --output-on-failure
}

tools/setup.sh test
step "format: clang-format" check_format
step "build: gcc" build build gcc
step "build: clang, with the fuzzers" build build-clang clang -DGQE_BUILD_FUZZERS=ON
step "build: gcc, AddressSanitizer, UndefinedBehaviorSanitizer" build build-sanitize gcc -DGQE_SANITIZE=ON
step "build: prebuilt SPIR-V, no shader compiler" build build-prebuilt gcc -DGQE_PREBUILT_SHADERS=ON -DGQE_GLSLANG=/nonexistent
step "build: library and program for Windows, with MinGW" tools/mingw.sh
step "docs: the reference from the headers" cmake --build build --target docs
step "tests: goldens with the prebuilt SPIR-V" ctest --test-dir build-prebuilt -R '^goldens:' --output-on-failure
step "tests: the host's parts, sanitized" ctest --test-dir build-sanitize -j "$jobs" -L 'host|reference' --output-on-failure
step "tests: faults of host memory, sanitized" ctest --test-dir build-sanitize -R '^host_memory:lavapipe' --output-on-failure
step "tests: threads, under ThreadSanitizer" check_threads
step "fuzzers: a fixed number of inputs" ctest --test-dir build-clang -j "$jobs" -R '^fuzz_' --output-on-failure
echo "tests: everything, on every driver"
ctest --test-dir build -j "$jobs" --output-on-failure --no-label-summary
echo "all passed, $SECONDS s"

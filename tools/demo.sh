#!/usr/bin/env bash
# Installs what is missing, builds, and reads the held-out text with the demo model on this machine's best Vulkan device.
#   tools/demo.sh [OPTIONS of gqe run]      for example: tools/demo.sh --dtype f16, or GQE_DEVICE=reference tools/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh

echo "build: build/gqe"
mkdir -p build
if ! { cmake -S . -B build -G Ninja -DGQE_BUILD_TESTS=OFF && cmake --build build; } >build/demo.log 2>&1; then
    tail -n 40 build/demo.log >&2
    exit 1
fi

export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
call=(build/gqe run models/gqe-2m --prompt-file models/heldout.txt --window 1024 -n 200 "$@")
printf '\n$ %s\n' "${call[*]}"
exec "${call[@]}"

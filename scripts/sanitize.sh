#!/usr/bin/env bash
# Builds the preset asan, ubsan or tsan and runs the unit tests in it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

preset=${1-}
[[ $preset == asan || $preset == ubsan || $preset == tsan ]] || die "usage: scripts/sanitize.sh asan|ubsan|tsan"

install_packages build test
cmake --preset "$preset" -DLOCKSTEP_TESTS=ON
cmake --build --preset "$preset"
ctest --preset "$preset" -L unit -j "$(nproc)"

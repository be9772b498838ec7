#!/usr/bin/env bash
# Builds the preset asan, ubsan or tsan and runs the unit tests in it; under asan those of MPI too.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

preset=${1-}
[[ $preset == asan || $preset == ubsan || $preset == tsan ]] || die "usage: scripts/sanitize.sh asan|ubsan|tsan"

install_packages build test
cmake --preset "$preset" -DLOCKSTEP_TESTS=ON
cmake --build --preset "$preset"
# Where a process ends, the thread sanitizer sleeps for a second, which a watchdog would not like.
export TSAN_OPTIONS=atexit_sleep_ms=0
ctest --preset "$preset" -L unit -j "$(nproc)"

if [[ $preset == asan ]]; then
  # What Open MPI still holds at the end is not ours. Only a whole stack tells whose an allocation is. The counter of
  # exchanges is preloaded, and so comes before the sanitizer.
  export LSAN_OPTIONS=suppressions=$PWD/tests/mpi/open_mpi.supp:print_suppressions=0
  export ASAN_OPTIONS=fast_unwind_on_malloc=0:verify_asan_link_order=0
  ctest --preset asan -L mpi -j "$(nproc)"
fi

#!/usr/bin/env bash
# Runs test programs under compute-sanitizer: sanitize.sh SANITIZER TOOL PROGRAM...
# Exit code 77 where there is no sanitizer or no GPU, with the reason.
set -euo pipefail

sanitizer=$1
tool=$2
shift 2
skip() {
  echo "skipped: $1"
  exit 77
}

[[ -x $sanitizer ]] || skip "no compute-sanitizer (scripts/cuda_toolkit.sh brings it)"
! "$1" --gtest_filter='GpuMemoryTest.*' | grep -q 'skipped: no GPU' || skip "no GPU"
for program in "$@"; do
  "$sanitizer" --tool "$tool" --error-exitcode 1 "$program"
done

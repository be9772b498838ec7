#!/usr/bin/env bash
# Runs test programs under compute-sanitizer: sanitize.sh SANITIZER TOOL FILTER PROGRAM...
# FILTER is GoogleTest's. Exit code 77 where there is no GPU or no sanitizer, with the reason.
set -euo pipefail

sanitizer=$1
tool=$2
filter=$3
shift 3
skip() {
  echo "skipped: $1"
  exit 77
}

found=$("$1" --gtest_filter='GpuMemoryTest.*')
[[ $found != *'skipped: no GPU'* ]] || skip "no GPU"
[[ -x $sanitizer ]] || skip "no compute-sanitizer, which an installed CUDA toolkit has"
for program in "$@"; do
  "$sanitizer" --tool "$tool" --error-exitcode 1 "$program" --gtest_filter="$filter"
done

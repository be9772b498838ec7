#!/usr/bin/env bash
# Format and lint: clang-format, clang-tidy and shellcheck, all of which must have nothing to say.
# With arguments, clang-tidy looks at these .cpp files alone.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install_packages build test lint
cmake --preset release -DLOCKSTEP_TESTS=ON >/dev/null

sources() { git ls-files --cached --others --exclude-standard -- "$@"; }

say "clang-format"
sources '*.cpp' '*.h' | xargs clang-format --dry-run -Werror

say "shellcheck"
{ sources '*.sh' '*.sbatch'; echo .ci/run; } | xargs shellcheck -x -P SCRIPTDIR

say "clang-tidy"
if (($#)); then
  printf '%s\n' "$@"
else
  # Not what includes NVIDIA's headers, which are not there as a rule.
  sources 'comm/*.cpp' 'layers/*.cpp' 'trainer/*.cpp' 'tests/unit/*.cpp' 'tests/support/*.cpp' |
    grep -v '^comm/nccl/nccl.cpp$\|^layers/ops/cuda/device/'
fi | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build/release 2> >(grep -v 'warnings\? generated\.$' >&2)

say "lint: nothing to say"

#!/usr/bin/env bash
# The full forms of all drills (some hours): what may happen to a run, done to it hundreds of times. Ends with one table
# of what was done and seen; exit code 1 where a trial failed.
#   scripts/drill.sh [DRILL]...     DRILL: saves, restarts, … (default: all in tests/drills)
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# The figures that the project holds itself to; a drill that is not named here takes --trials.
declare -A full=(
  [saves]='--trials 500'
  [two_hosts]='--trials 60'
  [restarts]='--seconds 600 --work 450 --kill-every 20 --least-share 0.8'
)
trials='--trials 300'

drills=("$@")
if ((${#drills[@]} == 0)); then
  for file in tests/drills/*.py; do
    [[ ! -x $file ]] || drills+=("$(basename "$file" .py)")
  done
fi

install_packages build test
cmake --preset release -DLOCKSTEP_TESTS=ON
cmake --build --preset release
export LOCKSTEP=$PWD/build/release/lockstep

log=$(mktemp -t drill.XXXXXX)
trap 'rm -f "$log"' EXIT
failed=0
for drill in "${drills[@]}"; do
  say "$drill"
  read -ra options <<<"${full[$drill]-$trials}"
  python3 -B "tests/drills/$drill.py" "${options[@]}" | tee -a "$log" || failed=1
done
printf '\n'
# One head, then the rows of all.
grep '^|' "$log" | awk '!/^\| drill |^\|---/ || NR <= 2'
exit "$failed"

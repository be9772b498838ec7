#!/usr/bin/env bash
# Builds the preset fuzz and runs every target of tests/fuzz, then prints a table: target, executions, findings.
#   scripts/fuzz.sh [SECONDS]    each target for so long (60)
#   scripts/fuzz.sh --runs N     each target so often
#   scripts/fuzz.sh --full       10,000,000 times our own parsers, 1,000,000 times those with a third party inside
# A finding is a file in build/fuzz/findings; then the exit code is 1.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() { die "usage: scripts/fuzz.sh [SECONDS | --runs N | --full]"; }

ours=(safetensors facts idx cifar10 digests latest)
third_party=(png jpeg config result_json arguments)

case ${1-} in
  '') limit() { echo -max_total_time=60; } ;;
  --runs)
    [[ ${2-} =~ ^[1-9][0-9]*$ ]] || usage
    runs=$2
    limit() { echo "-runs=$runs"; }
    ;;
  --full) limit() { [[ " ${ours[*]} " == *" $1 "* ]] && echo -runs=10000000 || echo -runs=1000000; } ;;
  *)
    [[ $1 =~ ^[1-9][0-9]*$ ]] || usage
    seconds=$1
    limit() { echo "-max_total_time=$seconds"; }
    ;;
esac

install_packages build test tools
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${ours[@]/#/fuzz_}" "${third_party[@]/#/fuzz_}"

findings=build/fuzz/findings
mkdir -p "$findings"

# What is new is kept in build/fuzz/corpus for the next time. No reader may ask for much memory at once, whatever a
# few thousand bytes claim.
fuzz() {
  local target=$1 found=build/fuzz/corpus/$1
  mkdir -p "$found"
  # A target's own output (--help) is not of interest; libFuzzer's and the sanitizers' is on standard error.
  "build/fuzz/tests/fuzz/fuzz_$target" "$(limit "$target")" -print_final_stats=1 -max_len=4096 -timeout=25 \
    -rss_limit_mb=2048 -malloc_limit_mb=64 -artifact_prefix="$findings/$target-" \
    "$found" "tests/fuzz/corpus/$target" >/dev/null 2>"build/fuzz/$target.log" || echo failed >>"build/fuzz/$target.log"
}

for target in "${ours[@]}" "${third_party[@]}"; do
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
  say "fuzzing $target"
  fuzz "$target" &
done
wait

failed=false
table=$(printf '%-12s %14s  %s' target executions findings)
for target in "${ours[@]}" "${third_party[@]}"; do
  finding=none
  if grep -q '^failed$' "build/fuzz/$target.log"; then
    failed=true
    finding="see build/fuzz/$target.log and $(find "$findings" -name "$target-*" | sort | xargs)"
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target.log")
  table+=$'\n'$(printf '%-12s %14s  %s' "$target" "${executions:--}" "$finding")
done
echo "$table"
! $failed

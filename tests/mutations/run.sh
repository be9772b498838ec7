#!/usr/bin/env bash
# Shows that the tests can fail: applies each patch in this folder, one bug each, builds, and requires a red test.
#   tests/mutations/run.sh [--check] [PATCH]...
# Works in a copy of the tree. Ends with a table of patch, bug and the tests that caught it; exit code 1 where a bug
# went unnoticed, or a patch neither applies nor builds. --check only sees whether the patches still apply.
set -euo pipefail
source "$(dirname "$0")/../../scripts/lib.sh"

check=false
if [[ ${1-} == --check ]]; then
  check=true
  shift
fi
# lib.sh leaves us in the root.
patches=("$@")
((${#patches[@]})) || patches=(tests/mutations/*.patch)
mapfile -t patches < <(realpath -e "${patches[@]}")

# header PATCH KEY: the value of "KEY: …" before the patch proper.
header() { sed -n "s/^$2: //p;/^diff /q" "$1"; }
name_of() { basename "$1" .patch; }

for patch in "${patches[@]}"; do
  for key in Bug Targets Tests; do
    [[ -n $(header "$patch" "$key") ]] || die "$patch has no line '$key: …'"
  done
  git apply --check "$patch" || die "$patch does not apply any more: make it anew on the code as it is"
done
if $check; then
  say "all ${#patches[@]} mutations apply"
  exit
fi

tree=$(mktemp -d -t mutations.XXXXXX)
trap 'rm -rf "$tree"' EXIT
git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- | tar -x -C "$tree"
export CCACHE_BASEDIR=$tree # so that another run's copy finds what this one compiled

change() { git -C "$tree" apply "$@" >"$tree/log" 2>&1; }
build() { xargs cmake --build "$tree/build/release" --target <<<"$*" >"$tree/log" 2>&1; }
# Some mutants wait for ever, so every test has a time limit; running out of it counts as red.
tests() {
  ctest --test-dir "$tree/build/release" -R "$1" -j "$(nproc)" --timeout 60 --no-tests=error >"$tree/log" 2>&1
}
red() { sed -n '/^The following tests FAILED/,$ s/^\s*[0-9]* - \(\S*\) .*/\1/p' "$tree/log"; }
show_log() { tail -n 60 "$tree/log" >&2; }
every() { for patch in "${patches[@]}"; do header "$patch" "$1"; done | sort -u | paste -sd "$2"; }

say "building the tree as it is"
(cd "$tree" && cmake --preset release -DLOCKSTEP_TESTS=ON >/dev/null)
build "$(every Targets ' ')" || { show_log; die "the tree does not build"; }
tests "$(every Tests '|')" || { show_log; die "a test is red without any mutation"; }

# verdict PATCH: who caught it, or nothing.
verdict() {
  local names
  build "$(header "$1" Targets)" || { show_log; return; }
  ! tests "$(header "$1" Tests)" || return 0
  mapfile -t names < <(red)
  ((${#names[@]})) || { show_log; return; }
  printf '%s' "${names[0]}"
  ((${#names[@]} == 1)) || printf ' and %d more' $((${#names[@]} - 1))
}

table=$(printf '%-32s | %-64s | %s' patch bug "caught by")
missed=0
for patch in "${patches[@]}"; do
  change "$patch" || { show_log; die "$patch cannot be applied to the copy"; }
  caught=$(verdict "$patch")
  change -R "$patch" || { show_log; die "$patch cannot be taken back"; }
  [[ -n $caught ]] || missed=$((missed + 1))
  say "$(name_of "$patch"): ${caught:-NOT CAUGHT}"
  table+=$'\n'$(printf '%-32s | %-64s | %s' "$(name_of "$patch")" "$(header "$patch" Bug)" "${caught:-NOTHING}")
done

printf '\n%s\n\n' "$table"
((missed == 0)) || die "$missed of ${#patches[@]} mutations went unnoticed or do not build"
say "all ${#patches[@]} mutations were caught"

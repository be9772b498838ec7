#!/usr/bin/env bash
# Shows that the tests can fail: applies each patch in this folder, one bug each, builds, and requires a red test.
#   tests/mutations/run.sh [PATCH]...
# A patch starts with two lines, "Bug: …" and "Tests: <regular expression of ctest names>". Works in a copy of the
# tree; prints a table of patch, bug and the tests that caught it; exit code 1 where one was not caught.
set -euo pipefail
source "$(dirname "$0")/../../scripts/lib.sh"

# The patches as paths from the root, where lib.sh leaves us.
patches=("$@")
((${#patches[@]})) || patches=(tests/mutations/*.patch)

tree=$(mktemp -d -t mutations.XXXXXX)
trap 'rm -rf "$tree"' EXIT
git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- | tar -x -C "$tree"

header() { sed -n "s/^$2: //p;/^---/q" "$1"; }
build() { cmake --build "$tree/build/release" >"$tree/log" 2>&1; }
# Some mutants wait for ever, so every test has a time limit; running out of it counts as red.
tests() { ctest --test-dir "$tree/build/release" -R "$1" -j "$(nproc)" --timeout 120 --no-tests=error >"$tree/log" 2>&1; }
red() { sed -n '/^The following tests FAILED/,$ s/^\s*[0-9]* - \(\S*\) .*/\1/p' "$tree/log"; }
show_log() { tail -n 60 "$tree/log" >&2; }

say "building the tree as it is"
(cd "$tree" && cmake --preset release -DLOCKSTEP_TESTS=ON >/dev/null)
build || { show_log; die "the tree does not build"; }
every=$(for patch in "${patches[@]}"; do header "$patch" Tests; done | paste -sd '|')
tests "$every" || { show_log; die "a test is red without any mutation"; }

missed=0
printf '%-36s | %-64s | %s\n' patch bug "caught by"
for patch in "${patches[@]}"; do
  patch -d "$tree" -p1 -s -N --no-backup-if-mismatch <"$patch" || die "$patch does not apply any more"
  build || { show_log; die "$patch does not build"; }
  if tests "$(header "$patch" Tests)"; then
    caught="NOTHING"
    missed=$((missed + 1))
  else
    mapfile -t names < <(red)
    caught="${names[0]-unclear, see above}"
    ((${#names[@]} < 2)) || caught+=" and $((${#names[@]} - 1)) more"
    ((${#names[@]})) || { show_log; missed=$((missed + 1)); }
  fi
  printf '%-36s | %-64s | %s\n' "$(basename "$patch" .patch)" "$(header "$patch" Bug)" "$caught"
  patch -d "$tree" -p1 -s -R --no-backup-if-mismatch <"$patch"
done

((missed == 0)) || die "$missed of ${#patches[@]} mutations went unnoticed"
say "all ${#patches[@]} mutations were caught"

#!/usr/bin/env bash
# Valgrind's memcheck over short runs of the release build: training on two workers, resuming, evaluating, predicting.
# Valgrind knows no AVX-512 and says so to the program, so oneDNN keeps to AVX2. Exit code 1 where anything is wrong.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install_packages build test tools
cmake --preset release -DLOCKSTEP_TESTS=ON >/dev/null
cmake --build --preset release --target lockstep

scratch=$(mktemp -d -t valgrind.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/run.yaml" <<END
run_dir: $scratch/run
model: {name: cnn}
batch: {global: 8, shards: 2}
normalization: {running_stats: [ema, cumulative, precise], precise_batches: 1}
data: {dataset: synthetic, augment: {pad_crop: 1, flip: true}, synthetic: {samples: 16, test_samples: 8, height: 8, width: 8}}
schedule: {steps: 3}
evaluation: {every_steps: 2, batch: 8}
checkpoint: {every_steps: 1}
comm: {timeout_s: 600}
train: {digest_every: 1}
END

# checked EXPECTED_CODE ARGUMENT...: memory that nothing points to any more is a leak; what the runtime still holds at
# the end is not.
checked() {
  local expected=$1 code=0
  shift
  valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect --suppressions=scripts/valgrind.supp \
    build/release/lockstep "$@" >"$scratch/out" 2>"$scratch/log" || code=$?
  if ((code != expected)); then
    cat "$scratch/log"
    die "exit code $code instead of $expected under valgrind: lockstep $*"
  fi
  say "clean: lockstep $*"
}

checked 75 train "$scratch/run.yaml" --workers 2 --set train.stop_at_step=2
checked 0 train "$scratch/run.yaml" --workers 1 --resume
checked 0 evaluate "$scratch/run/final.safetensors"
checked 0 inspect "$scratch/run/final.safetensors" --digest --plan
checked 0 compare "$scratch/run" "$scratch/run"
checked 2 train "$scratch/run.yaml" --set batch.shards=none
checked 3 evaluate "$scratch/run.yaml"

#!/usr/bin/env bash
# From a fresh clone to a trained network: installs, builds, trains with two workers, evaluates with one.
# A finished run is left as it is; --overwrite trains again.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

config=configs/fashion_mnist.yaml
run=runs/fashion_mnist
lockstep=build/release/lockstep

how=()
case ${1-} in
  '') ;;
  --overwrite) how=(--overwrite) ;;
  *) die "usage: scripts/quickstart.sh [--overwrite]" ;;
esac

headline() { say "" "== $1"; }

headline "Packages"
install_packages build

headline "Build"
# Tests need more packages. scripts/test.sh turns them on in the same folder, where they then stay on.
[[ -f build/release/build.ninja ]] || cmake --preset release -DLOCKSTEP_TESTS=OFF
cmake --build --preset release --target lockstep

headline "Training"
before_training=$SECONDS
if [[ -f $run/final.safetensors && ${#how[@]} == 0 ]]; then
  say "The run in $run is finished. It is not overwritten, only evaluated." \
    "To train it again: scripts/quickstart.sh --overwrite"
  trained="an earlier run"
else
  [[ ! -d $run/checkpoints || ${#how[@]} != 0 ]] || how=(--resume)
  scripts/mpirun.sh -n 2 "$lockstep" train "$config" "${how[@]}"
  trained="training $((SECONDS - before_training)) s"
fi

headline "Evaluation, in one process"
result=$("$lockstep" evaluate "$run/final.safetensors" --json)
accuracy=$(sed -n 's/.*"accuracy": *\([0-9.e-]*\).*/\1/p' <<<"$result")
[[ -n $accuracy ]] || die "evaluate told no accuracy: $result"

headline "Done"
awk -v accuracy="$accuracy" 'BEGIN { printf "test accuracy  %.2f %%, of the 10,000 test images\n", 100 * accuracy }'
cat <<END
time taken     $SECONDS s ($trained)
model          $run/final.safetensors
metrics        $run/metrics.jsonl
checkpoints    $run/checkpoints/
program        $lockstep --help
END

#!/usr/bin/env bash
# What bf16 costs in accuracy: trains `cnn` on Fashion-MNIST (configs/fashion_mnist.yaml) in fp32 and in bf16, a pair a
# seed, and prints the test accuracies, their differences in points (bf16 less fp32) and the mean of those. Some 8
# minutes on 2 cores. A run that was finished before is not trained again.
#   scripts/bf16_accuracy.sh [--seeds N] [--out FOLDER] [--set key=value]...
# Exit code 1 where the mean difference is more than 0.2 points.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() { die "usage: scripts/bf16_accuracy.sh [--seeds N] [--out FOLDER] [--set key=value]..."; }

lockstep=${LOCKSTEP:-build/release/lockstep}
seeds=5
out=runs/bf16_accuracy
settings=()
while (($#)); do
  (($# > 1)) || usage
  case $1 in
    --seeds) seeds=$2 ;;
    --out) out=$2 ;;
    --set) settings+=(--set "$2") ;;
    *) usage ;;
  esac
  shift 2
done
[[ $seeds =~ ^[1-9][0-9]*$ ]] || usage
[[ -x $lockstep ]] || die "$lockstep is not built: scripts/quickstart.sh"
mkdir -p "$out"

# accuracy SEED PRECISION: in percent.
accuracy() {
  local run=$out/$2-$1
  "$lockstep" train configs/fashion_mnist.yaml --workers 2 --resume --set seed="$1" --set precision="$2" \
    --set run_dir="$run" "${settings[@]}" &>>"$run.log" || {
    tail -n 20 "$run.log" >&2
    die "training $run failed"
  }
  "$lockstep" evaluate "$run/final.safetensors" --json |
    sed -E 's/.*"accuracy":([0-9.e-]+).*/\1/' | awk '{ printf "%.2f\n", 100 * $1 }'
}

say "accuracy on the 10,000 test images, in %"
for ((seed = 1; seed <= seeds; ++seed)); do
  fp32=$(accuracy "$seed" fp32)
  bf16=$(accuracy "$seed" bf16)
  echo "$seed $fp32 $bf16"
done | awk '
  BEGIN { printf "%6s %8s %8s %12s\n", "seed", "fp32", "bf16", "difference" }
  {
    printf "%6d %8.2f %8.2f %+12.2f\n", $1, $2, $3, $3 - $2
    fflush()
    fp32 += $2; bf16 += $3; sum += $3 - $2; squares += ($3 - $2) ^ 2
  }
  END {
    if (NR == 0) exit 1
    mean = sum / NR
    error = NR > 1 ? sqrt((squares - NR * mean * mean) / (NR - 1) / NR) : 0
    printf "%6s %8.2f %8.2f %+12.2f, standard error %.2f\n", "mean", fp32 / NR, bf16 / NR, mean, error
    exit mean < -0.2 || mean > 0.2
  }'

#!/usr/bin/env bash
# Trains one configuration in many ways, which must all give the same files, byte for byte:
#   scripts/check_one_answer.sh CONFIG.yaml [--quick] [--set key=value]...
# Varied are the number of workers (1 to 8; --quick: 1 to 4), the transport, the threads of a worker, those that read,
# OMP_NUM_THREADS, the bucket size, overlap, fusion, recomputation, and a stop at 4 workers resumed at 3.
# Prints the sha256 of each final.safetensors and last checkpoint; exit code 1 where they are not all the same, 77 where
# this processor does not compute in the configuration's precision, or there is no GPU for device=gpu. With --set device=gpu
# threads are left out: workers of GPUs are processes (LOCKSTEP_SHARE_GPUS=1 lets them share one).
set -euo pipefail
config=${1-}
[[ ! -f $config ]] || config=$(realpath "$config") # before lib.sh leaves the caller's folder
source "$(dirname "$0")/lib.sh"

usage() { die "usage: scripts/check_one_answer.sh CONFIG.yaml [--quick] [--set key=value]..."; }

lockstep=${LOCKSTEP:-build/release/lockstep}
[[ -n $config && $config != -* ]] || usage
shift
quick=false
settings=()
while (($#)); do
  case $1 in
    --quick) quick=true ;;
    --set)
      (($# > 1)) || usage
      settings+=(--set "$2")
      shift
      ;;
    *) usage ;;
  esac
  shift
done
[[ -f $config ]] || die "no such file: $config"
[[ -x $lockstep ]] || die "$lockstep is not built: cmake --preset release && cmake --build --preset release"

scratch=$(mktemp -d -t one_answer.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# launch TRANSPORT WORKERS ARGUMENT...
launch() {
  local transport=$1 workers=$2
  shift 2
  set -- train "$config" "${settings[@]}" "$@"
  case $transport in
    threads) "$lockstep" "$@" --workers "$workers" ;;
    mpi) scripts/mpirun.sh -n "$workers" "$lockstep" "$@" ;;
  esac
}

# train EXPECTED_CODE RUN_DIR TRANSPORT WORKERS ARGUMENT...
train() {
  local expected=$1 run=$2 code=0
  shift 2
  launch "$@" --set run_dir="$run" >"$scratch/log" 2>&1 || code=$?
  ((code == expected)) && return
  if grep 'needs a processor with' "$scratch/log" >&2; then exit 77; fi
  if grep -q 'has no GPU that CUDA can use' "$scratch/log"; then
    say "skipped: no GPU"
    exit 77
  fi
  tail -n 40 "$scratch/log" >&2
  die "exit code $code instead of $expected from: $*"
}

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }
last_checkpoint() { find "$1/checkpoints" -name 'step-*.safetensors' | sort | tail -n 1; }

reference='' # the first run's two sums
runs=0
differing=()

# report RUN_DIR LABEL: a line of the table, and what it means.
report() {
  local sums mark=''
  sums="$(sha256 "$1/final.safetensors")  $(sha256 "$(last_checkpoint "$1")")"
  : "${reference:=$sums}"
  if [[ $sums != "$reference" ]]; then
    differing+=("$2")
    mark='  <- differs'
  fi
  runs=$((runs + 1))
  echo "$sums  $2$mark"
}

# on_gpus TRANSPORT WORKERS: whether these are threads that would each want a GPU, which only processes have.
on_gpus() { [[ " ${settings[*]-} " == *" device=gpu "* && $1 == threads ]] && (($2 > 1)); }

# check TRANSPORT WORKERS [--set key=value]...
check() {
  ! on_gpus "$1" "$2" || return 0
  local run=$scratch/run-$runs label="$2 $1"
  [[ -z ${OMP_NUM_THREADS-} ]] || label+=" OMP_NUM_THREADS=$OMP_NUM_THREADS"
  train 0 "$run" "$@"
  shift 2
  label+=" ${*#--set}"
  report "$run" "$(xargs <<<"$label")"
  ((runs == 1)) || rm -rf "$run"
}

# check_resumed TRANSPORT_BEFORE WORKERS TRANSPORT_AFTER WORKERS
check_resumed() {
  local run=$scratch/run-$runs before=$1 after=$3
  ! on_gpus "$1" "$2" || before=mpi
  ! on_gpus "$3" "$4" || after=mpi
  train 75 "$run" "$before" "$2" --set train.stop_at_step="$half"
  train 0 "$run" "$after" "$4" --resume
  report "$run" "$2 $before, stopped at step $half, $4 $after"
  rm -rf "$run"
}

workers=(2 3 4 5 7 8)
! $quick || workers=(2 3 4)

unset OMP_NUM_THREADS
printf '%-64s  %-64s  %s\n' "sha256 of final.safetensors" "of the last checkpoint" "workers and transport"
check threads 1
steps=$(last_checkpoint "$scratch/run-0" | sed 's/.*step-0*\([0-9]*\).*/\1/')
half=$(((steps + 1) / 2))

check mpi 1
for count in "${workers[@]}"; do
  check threads "$count" --set threads=1
  check threads "$count" --set threads=2
  check mpi "$count"
done
OMP_NUM_THREADS=1 check threads 2
OMP_NUM_THREADS=8 check threads 2
OMP_NUM_THREADS=8 check mpi 2 --set threads=2
check threads 2 --set data.threads=3
check threads 3 --set comm.bucket_mib=0.0625
check mpi 3 --set comm.bucket_mib=0.0625
check mpi 3 --set comm.overlap=off
check mpi 3 --set comm.overlap=on
check threads 2 --set plan.fuse=false
check threads 2 --set plan.recompute=false
check mpi 3 --set plan.fuse=false --set plan.recompute=false
if ((half < steps)); then # a single step leaves nothing to resume
  check_resumed threads 4 mpi 3
  $quick || check_resumed mpi 4 threads 3
fi

if ((${#differing[@]})); then
  echo "NOT the same as with 1 worker (${#differing[@]} of $runs runs):"
  printf '  %s\n' "${differing[@]}"
  echo "To find the first tensor: train both with --set train.digest_every=1, then lockstep compare."
  exit 1
fi
echo "all the same: $runs runs"

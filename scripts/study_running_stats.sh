#!/usr/bin/env bash
# What batch norm does at test time, measured: running statistics of every kind against the batch's own, over
# training, over sizes of shards, and what they cost. From nothing, within 40 minutes on 2 cores.
#   scripts/study_running_stats.sh [OUT]
# Writes OUT/README.md (the page), table.csv and *.png; OUT is runs/study_running_stats by default. A run that was
# finished before is not trained again; remove its folder below OUT/runs to do so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

out=${1:-runs/study_running_stats}
lockstep=build/release/lockstep
config=scripts/study/running_stats.yaml
seeds=(1 2 3)

headline() { say "" "== $1 ($((SECONDS / 60)) min)"; }

# train RUN ARGUMENT...: on two workers, unless it is finished; what it tells is in RUN.log.
train() {
  local run=$out/runs/$1 code=0
  shift
  [[ ! -f $run/final.safetensors ]] || return 0
  mkdir -p "$(dirname "$run")"
  scripts/mpirun.sh -n 2 "$lockstep" train "$config" --resume --set run_dir="$run" "$@" &>>"$run.log" || code=$?
  ((code == 0 || code == 75)) || { tail -n 20 "$run.log" >&2; die "training $run ended with exit code $code"; }
}

# watched RUN STAGES ARGUMENT...: looks closely at the first steps, then less often, then each epoch. A stage is
# EVERY:UNTIL in steps. When a run evaluates and saves, or where it is stopped and resumed, changes no bit of it.
watched() {
  local run=$1 stages=$2 every until stage
  shift 2
  for stage in $stages; do
    every=${stage%:*} until=${stage#*:}
    [[ ! -f $out/runs/$run/checkpoints/step-$(printf %08d "$until").safetensors ]] || continue
    train "$run" "$@" --set evaluation.every_steps="$every" --set checkpoint.every_steps="$every" \
      --set train.stop_at_step="$until"
  done
  train "$run" "$@"
}

# How long a step takes with each kind of running statistics, in turn.
measure_cost() {
  local round stats model kinds=('[ema]' '[cumulative]' '[ema, "ema:0.5", "ema:0.01", "ema:0.001", cumulative, precise]')
  rm -f "$out/cost.jsonl"
  for round in 1 2 3; do
    for model in cnn resnet20; do
      kinds=("${kinds[@]:1}" "${kinds[0]}") # nobody always goes first
      for stats in "${kinds[@]}"; do
        scripts/mpirun.sh -n 2 "$lockstep" bench step "$config" --json --set model.name="$model" \
          --set normalization.running_stats="$stats" >"$out/bench.json" 2>"$out/bench.log" ||
          die "bench step failed: see $out/bench.log"
        printf '{"round": %d, "model": "%s", "stats": "%s", "step": %s}\n' "$round" "$model" "${stats//\"/}" \
          "$(cat "$out/bench.json")" >>"$out/cost.jsonl"
      done
    done
  done
}

headline "Packages and build"
install_packages build study
[[ -f build/release/build.ninja ]] || cmake --preset release -DLOCKSTEP_TESTS=OFF
cmake --build --preset release --target lockstep
mkdir -p "$out"

headline "What a step costs"
measure_cost

headline "Statistics over training"
for seed in "${seeds[@]}"; do
  watched "watched/cnn-$seed" "4:20 30:180" --set model.name=cnn --set seed="$seed"
  watched "watched/resnet20-$seed" "4:20 40:200" --set model.name=resnet20 --set seed="$seed" \
    --set schedule.epochs=2
done

headline "Small shards, synchronized and not"
for seed in "${seeds[@]}"; do
  for samples in 2 8 32; do
    for sync in global local; do
      short=(--set seed="$seed" --set batch.shards=$((128 / samples)) --set normalization.sync="$sync"
        --set batch.global=128 --set data.drop_last=true --set evaluation.batch=128 --set 'normalization.running_stats=[ema, precise]')
      train "shards/cnn-$samples-$sync-$seed" "${short[@]}" --set model.name=cnn --set schedule.epochs=1
      train "shards/resnet20-$samples-$sync-$seed" "${short[@]}" --set model.name=resnet20 --set schedule.steps=75
    done
  done
done

headline "Table, plots and page"
/usr/bin/python3 scripts/study/running_stats.py "$out"
say "Written: $out/README.md, table.csv and plots, in $((SECONDS / 60)) min"

#!/usr/bin/env bash
# What each host of a job begins with: scripts/on_host.sh mpirun|orted [ARGUMENT]...
# Removes what dead jobs left here, and sees that mpirun, or its daemon orted, does not outlive its workers. Where a
# link goes down they wait for each other until TCP gives up, a quarter of an hour.
set -euo pipefail
here=$(dirname "$0")
patience=5 # seconds, in which they end by themselves where nothing is wrong

# Processes of mpirun's or orted's that know their rank.
workers_of() {
  local child
  for child in $(pgrep -P "$1"); do
    if grep -qzs '^OMPI_COMM_WORLD_RANK=' "/proc/$child/environ"; then echo "$child"; fi
  done
}
lives() { [[ -e /proc/$1 ]]; }

# While any of the workers lives, there is no more to do than to look whether it does.
watch() {
  local launcher=$1 workers worker ended=''
  while lives "$launcher" && ((SECONDS - ${ended:-SECONDS} < patience)); do
    workers=$(workers_of "$launcher")
    for worker in $workers; do
      while lives "$worker"; do sleep 1; done
      ended=$SECONDS
    done
    sleep 0.3
  done
  lives "$launcher" || return 0
  echo "$(uname -n): its workers have ended, but $2 waits for a host that does not answer: killed" \
    2>/dev/null >>"/proc/$launcher/fd/2" || true
  pkill -KILL -P "$launcher" || true
  kill -KILL "$launcher"
}

"$here/sweep.sh" || true # what is left of dead jobs harms none
# A child of nobody's, with no hold on our output.
(watch $$ "$1" </dev/null &>/dev/null &)
exec "$@"

#!/usr/bin/env bash
# mpirun with what this machine needs: scripts/mpirun.sh -n WORKERS [MPIRUN OPTION]... COMMAND...
# LOCKSTEP_START_S: how many seconds other hosts may take to come up (60).
set -euo pipefail

[[ ${1-} == -n && ${2-} =~ ^[1-9][0-9]*$ && $# -ge 3 ]] || {
  echo "usage: scripts/mpirun.sh -n WORKERS [MPIRUN OPTION]... COMMAND..." >&2
  exit 2
}
workers=$2 start_s=${LOCKSTEP_START_S:-60}
[[ $start_s =~ ^[1-9][0-9]*$ ]] || {
  echo "mpirun.sh: LOCKSTEP_START_S wants whole seconds, not '$start_s'" >&2
  exit 2
}

# Open MPI counts a core once, however many hardware threads it has; nproc knows what we may use of them. Where /sys is
# not mounted, as in a bare chroot, lscpu knows nothing.
cores=$(lscpu -p=SOCKET,CORE 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=1
((cores <= $(nproc))) || cores=$(nproc)

# A host that stops to answer is noticed within seconds; without these, within a quarter of an hour. One whose daemon
# does not start its workers ends the start; on_host.sh sees to one whose daemon does not come up.
options=(--mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3
  --mca orte_startup_timeout 60)
# Unasked, Open MPI binds one and two ranks to a core each, so that two jobs, or two threads of a rank, share one.
options+=(--bind-to none)
((workers <= cores)) || options+=(--oversubscribe)
if ((EUID == 0)); then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
self=$0
[[ ! -L $self ]] || self=$(realpath "$self") # a link to it may lie on the PATH
on_host=$(cd "$(dirname "$self")" && pwd)/on_host.sh
exec "$on_host" "$start_s" mpirun --mca orte_launch_agent "$on_host $start_s orted" "${options[@]}" "$@"

#!/usr/bin/env bash
# What each host of a job begins with: scripts/on_host.sh mpirun|orted [ARGUMENT]...
# Removes what dead jobs left here, and sees that mpirun, or its daemon orted, does not wait for a host that does not
# answer. Where data is under way as a link goes down TCP gives up after a quarter of an hour only.
set -euo pipefail
here=$(dirname "$0")

# Whether a peer of process $1 has let TCP try again four times (three seconds) without an answer.
unanswered() {
  local inode
  # /proc/net/tcp: 4 is the state (01: established), 7 the retries, 9 the probes where nothing could be sent at all.
  while read -r inode; do
    [[ -z $(find "/proc/$1/fd" -lname "socket:\[$inode\]") ]] || return 0
  done < <(awk '$4 == "01" && ($7 !~ /^0000000[0-3]$/ || $9 >= 4) { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  return 1
}

# Whether mpirun has workers, and nobody who starts a daemon elsewhere.
is_alone() {
  local child workers=0 others=0
  for child in $(pgrep -P "$1"); do
    if grep -qzs '^OMPI_COMM_WORLD_RANK=' "/proc/$child/environ"; then
      workers=$((workers + 1))
    else
      others=$((others + 1))
    fi
  done
  ((workers > 0 && others == 0))
}

watch() {
  local launcher=$1 name=$2 stderr
  while sleep 1 && [[ -e /proc/$launcher ]]; do
    if [[ $name == mpirun ]] && is_alone "$launcher"; then return; fi
    if ! unanswered "$launcher" || ! { sleep 1 && unanswered "$launcher"; }; then continue; fi
    exec {stderr}>>"/proc/$launcher/fd/2" || stderr=2
    pkill -KILL -P "$launcher"
    kill -KILL "$launcher"
    timeout 1 echo "$(uname -n): $name was killed: it waited for a host that does not answer" >&"$stderr"
  done
}

"$here/sweep.sh" || true # what is left of dead jobs harms none
trap '' USR1             # until it listens, as launch.sh wants it; ssh does not pass that on
# A child of nobody's, with no hold on our output.
( (set +e && watch $$ "$1") </dev/null &>/dev/null &)
exec "$@"

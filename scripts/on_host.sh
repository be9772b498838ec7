#!/usr/bin/env bash
# What each host of a job begins with: scripts/on_host.sh SECONDS mpirun|orted [ARGUMENT]...
# Removes what dead jobs left here, and sees that mpirun, or its daemon orted, does not wait for a host that does not
# answer, and no longer than so many seconds for one to come up. Where data is under way as a link goes down TCP gives
# up after a quarter of an hour only; and where a daemon cannot reach mpirun, mpirun waits for it for ever.
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

# How many other hosts process $1 is connected to.
peers() {
  local address inode
  # 3: the other's address; that of this host itself is 127.something, or its like in IPv6.
  while read -r address inode; do
    find "/proc/$1/fd" -lname "socket:\[$inode\]" -printf "${address%:*}\n"
  done < <(awk '$4 == "01" && $3 !~ /^(0000000000000000FFFF0000)?......7F:|^00000000000000000000000001000000:/ {
    print $3, $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null) | sort -u | wc -l
}

# Leaves in `workers` how many workers launcher $1 has, and in `others` how many children that start daemons elsewhere.
count_children() {
  local child
  workers=0 others=0
  for child in $(pgrep -P "$1"); do
    if grep -qzs '^OMPI_COMM_WORLD_RANK=' "/proc/$child/environ"; then
      workers=$((workers + 1))
    else
      others=$((others + 1))
    fi
  done
}

watch() {
  local left=$1 launcher=$2 name=$3 workers others hosts=0 starting=true why stderr
  [[ $name == mpirun ]] || hosts=1 # a daemon waits for a way to mpirun
  while sleep 1 && [[ -e /proc/$launcher ]]; do
    count_children "$launcher"
    if [[ $name == mpirun ]] && ((workers > 0 && others == 0)); then return; fi
    # mpirun waits for all daemons that it starts before it starts a worker.
    if [[ $name == mpirun ]] && ((others > hosts)); then hosts=$others; fi
    if $starting && ((hosts > 0)); then
      if ((workers == 0 && $(peers "$launcher") < hosts)); then left=$((left - 1)); else starting=false; fi
    fi
    if ((left <= 0)); then
      why="it waited for a host to come up for longer than $1 s"
    elif unanswered "$launcher" && sleep 1 && unanswered "$launcher"; then
      why='it waited for a host that does not answer'
    else
      continue
    fi
    exec {stderr}>>"/proc/$launcher/fd/2" || stderr=2
    pkill -KILL -P "$launcher"
    kill -KILL "$launcher"
    timeout 1 echo "$(uname -n): $name was killed: $why" >&"$stderr"
  done
}

"$here/sweep.sh" || true # what is left of dead jobs harms none
trap '' USR1             # until it listens, as launch.sh wants it; ssh does not pass that on
# A child of nobody's, with no hold on our output.
( (set +e && watch "$1" $$ "$2") </dev/null &>/dev/null &)
exec "${@:2}"

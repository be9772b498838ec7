#!/usr/bin/env bash
# Removes what jobs of Open MPI left on this host when mpirun was killed: shared memory that no process maps, and
# session folders of an mpirun or a daemon that is gone. Touches nothing of other users, of jobs that are alive, nor of
# other hosts that share the folder.
set -euo pipefail
shopt -s nullglob

# Memory is mapped a moment after it was made: younger files are left for the next time.
mapfile -t segments < <(find /dev/shm -maxdepth 1 -type f -user "$EUID" -name 'vader_segment.*' \
  ! -newermt '10 seconds ago' 2>/dev/null)
if ((${#segments[@]})); then
  # Processes that end meanwhile are no matter.
  mapped=$({ cat /proc/[0-9]*/maps 2>/dev/null || true; } | grep -o '/dev/shm/vader_segment[^ ]*' | sort -u || true)
  for segment in "${segments[@]}"; do
    grep -qxF "$segment" <<<"$mapped" || rm -f "$segment"
  done
fi

host=$(uname -n)
sessions=${TMPDIR:-/tmp}/ompi.${host%%.*}.$EUID
for folder in "$sessions"/pid.* "$sessions"/jf.*; do
  [[ -O $folder && ! -L $folder ]] || continue
  number=${folder##*.}
  case $folder in
    */pid.*) [[ ! -d /proc/$number ]] || continue ;;
    # A daemon's, by the number of its job.
    *) ! pgrep -f "ess_base_jobid $((number << 16)) " >/dev/null || continue ;;
  esac
  rm -rf "$folder"
done

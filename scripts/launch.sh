#!/usr/bin/env bash
# A job that stops when it is asked to, and is run again when it fails.
#   scripts/launch.sh -n WORKERS [OPTION]... [MPIRUN OPTION]... lockstep train CONFIG.yaml ...
#     --restarts K         run it again with --resume after a failure, at most K times in a row (3)
#     --pause SECONDS      before the first of them; twice as long before each further one, up to 5 minutes (5)
#     --least M            where a job failed before it saved anything, try with a worker less, down to M (WORKERS)
#     --hosts H:SLOTS,...  run on those of these hosts that answer to ssh, where they have room for M workers
# TERM, INT and HUP ask the job to save and end, and the answer is 75; mpirun by itself would do that for USR1 alone.
# A job that ended well, was stopped, or answered 2, 3 or 5 is not run again: it would answer the same. A new checkpoint
# (as seen from here, in run_dir) is progress, and starts count and pause anew.
set -euo pipefail
trap 'exit 75' TERM INT HUP # nothing has begun yet

self=$0
[[ ! -L $self ]] || self=$(realpath "$self") # a link to it may lie on the PATH
here=$(dirname "$self")
say() { printf 'launch: %s\n' "$*" >&2; }
refuse() {
  say "$*"
  sed -n '3,7s/^# \?//p' "$0" >&2
  exit 2
}

workers='' restarts=3 pause=5 least='' hosts=''
while (($# >= 2)); do
  case $1 in
    -n) workers=$2 ;;
    --restarts) restarts=$2 ;;
    --pause) pause=$2 ;;
    --least) least=$2 ;;
    --hosts) hosts=$2 ;;
    *) break ;;
  esac
  shift 2
done
: "${least:=$workers}"
[[ $workers =~ ^[1-9][0-9]*$ ]] || refuse "-n wants a number of workers, not '$workers'"
[[ $restarts =~ ^[0-9]+$ ]] || refuse "--restarts wants a number, not '$restarts'"
[[ $pause =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "--pause wants seconds, not '$pause'"
if ! [[ $least =~ ^[1-9][0-9]*$ ]] || ((least > workers)); then
  refuse "--least wants 1 to $workers workers, not '$least'"
fi
[[ " $* " != *' : '* ]] || refuse 'a ":" makes several commands; this launches one'

# launch: mpirun's options and the binary. train: the command; again: what it is once the job has begun its run.
launch=()
while (($#)) && [[ $1 != train ]]; do
  launch+=("$1")
  shift
done
((${#launch[@]} && $#)) || refuse 'this launches lockstep train'
train=("$@") again=()
for argument; do
  [[ $argument == --overwrite || $argument == --resume ]] || again+=("$argument")
done

# What `config` is to print of the run: its file and settings. It does not know train's other options.
of_config=()
shift
while (($#)); do
  case $1 in
    --set) of_config+=("${@:1:2}") && shift ;;
    --trace | --workers) shift ;;
    --set=* | [^-]*) of_config+=("$1") ;;
  esac
  shift || true # the last one had no value
done
config=$("${launch[-1]}" config "${of_config[@]}") || exit # it has said why
run_dir=$(sed -n 's/^run_dir: *//p' <<<"$config")
[[ -n $run_dir ]] || refuse "'${launch[-1]} config' does not tell run_dir"
if [[ $run_dir == \"*\" ]]; then # with JSON's escapes; what %b does not know of these is \"
  quoted=${run_dir:1:-1}
  printf -v run_dir %b "${quoted//\\\"/\"}"
fi
again+=(--resume)
# Hosts come up, or give up, within the time that workers give each other.
timeout_s=$(sed -n 's/^  timeout_s: *//p' <<<"$config")
if [[ -z ${LOCKSTEP_START_S-} && -n $timeout_s ]]; then
  LOCKSTEP_START_S=$(awk "BEGIN { print int($timeout_s) + 5 }")
  export LOCKSTEP_START_S
fi
# Which file is there, so that another one, or the same one written anew, is told from it.
version() { stat -c '%i %y' "$run_dir/$1" 2>/dev/null || echo none; }
newest() { version checkpoints/latest; }
# A run directory that still holds what it held before the first start is not this job's, and is not to be resumed.
where() { sed 's/\.safetensors$//' "$run_dir/checkpoints/latest" 2>/dev/null || echo 'the beginning'; }
before_start=$(version config.yaml)
has_begun() { [[ $before_start == none || $(version config.yaml) != "$before_start" ]]; }

# Those of --hosts that answer, each with its slots.
answering_hosts() {
  local host list=() found=()
  IFS=, read -ra list <<<"$hosts"
  for host in "${list[@]}"; do
    if ssh -n -o BatchMode=yes -o ConnectTimeout=5 "${host%%:*}" true 2>/dev/null; then
      found+=("$host")
    else
      say "${host%%:*} does not answer, and is left out"
    fi
  done
  (IFS=, && echo "${found[*]}")
}
slots_of() { tr , '\n' <<<"$1" | awk -F: 'NF { slots += NF > 1 ? $2 : 1 } END { print slots + 0 }'; }

asked=false interrupted=false idle=true job='' asking=''
trap '' USR1
ask() {
  interrupted=true
  if $asked; then return; fi
  asked=true
  say 'asked to stop: the job saves a checkpoint and ends'
  if $idle; then exit 75; fi
  pass_on
}
# A request that comes before mpirun or a rank listens is lost, so it is repeated. Until they listen they ignore it:
# on_host.sh sees to that for mpirun; but to what mpirun catches its children are not deaf.
# shellcheck disable=SC2016 # that shell expands it
deaf=(sh -c 'trap "" USR1 && exec "$0" "$@"')
pass_on() {
  [[ -n $job && -z $asking ]] || return 0
  (trap '' TERM INT HUP && while kill -USR1 "$job"; do sleep 1; done) &>/dev/null &
  asking=$!
}
trap ask TERM INT HUP
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# Once a rank is gone mpirun sleeps for a second before it sends the others SIGTERM, at which they say for whom they
# wait, and for another before SIGKILL, whether any is still there or not. A signal ends a sleep: half a second is enough
# for words that are due after 0.3 (comm/communicator.cpp), and many restarts are the sooner done.
hurry() {
  (trap '' TERM INT HUP && while sleep 0.5 && kill -CHLD "$job"; do :; done) </dev/null &>/dev/null &
}

# Leaves in `code` what the job answers. It is a process group of its own: what a terminal sends to all comes here alone.
run_job() {
  local status
  idle=false code=''
  set -m
  "$here/mpirun.sh" "$@" </dev/null &
  job=$!
  set +m
  hurry
  if $asked; then pass_on; fi # a request came while `job` was not known yet
  while
    interrupted=false
    status=0
    wait "$job" || status=$?
    [[ -n $code && $status == 127 ]] || code=$status # 127 from the second time on: it has been waited for
    $interrupted
  do :; done
  job='' idle=true
}

code=0 failures=0 rest=$pause most=$workers before=$(newest)
while true; do
  n=$most options=()
  if [[ -n $hosts ]]; then
    alive=$(answering_hosts)
    slots=$(slots_of "$alive")
    n=$((most < slots ? most : slots)) options=(--host "$alive")
  fi
  if ((n < least)); then
    say "there is room for $n workers only, of at least $least"
    code=4
  else
    run_job -n "$n" "${options[@]}" "${launch[@]:0:${#launch[@]}-1}" "${deaf[@]}" "${launch[-1]}" \
      "${train[@]}"
  fi
  # Killed by the request: it was not even deaf yet, so nobody had begun.
  if $asked && ((code == 128 + $(kill -l USR1))); then code=75; fi
  case $code in 0 | 2 | 3 | 5 | 75) exit "$code" ;; esac
  if $asked; then exit "$code"; fi

  if has_begun; then train=("${again[@]}"); fi
  now=$(newest)
  if [[ $now != "$before" ]]; then
    failures=0 rest=$pause most=$workers before=$now
  else
    most=$((n > least ? n - 1 : least))
  fi
  if ((failures == restarts)); then
    say "code $code, and $restarts restarts in a row without progress: this was the last one"
    exit "$code"
  fi
  failures=$((failures + 1))
  say "code $code; in $rest s it goes on from $(where) with up to $most workers" \
    "(restart $failures of $restarts without progress)"
  sleep "$rest" &
  wait $! || true
  rest=$(awk "BEGIN { rest = 2 * $rest; print rest < 300 ? rest : 300 }")
done

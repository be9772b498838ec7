#!/bin/sh
# What ssh is between hosts: into_host.sh ADDRESS COMMAND... What runs there outlives us, and over a cut link we do not
# hear that it ended.
for host in $LOCKSTEP_TEST_HOSTS; do
  [ "${host%%=*}" = "$1" ] && keeper=${host#*=}
done
shift
setsid nsenter --target "$keeper" --net --uts sh -c "$*" &
wait $!
status=$?
until nsenter --target "$keeper" --net ip link show cable | grep -q LOWER_UP; do
  [ -e "/proc/$PPID" ] || exit
  sleep 0.2
done
exit $status

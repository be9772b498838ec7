#!/usr/bin/env python3
"""Cuts the link between two hosts, and kills launchers and workers on either, at random moments of a run.

    tests/drills/two_hosts.py [--trials N] [--seed N] [--drill NAME]...

The hosts are made of namespaces (tests/cluster/hosts.py); without them the drill is skipped, and says why. After each
trial the job must be gone from both within comm.timeout_s + 10 s, and all else that hangs.py asks for must hold.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import breaking
from breaking import LOCKSTEP, Drill, after_a_step, in_a_step, until, while_saving

sys.path.append(str(Path(__file__).resolve().parents[1] / "cluster"))
from binary import LAUNCH  # noqa: E402
from hosts import TwoHosts, missing  # noqa: E402
from table import print_table  # noqa: E402


class Job(breaking.Job):
    """A training with so many workers on each of these hosts (default: both); mpirun is on the first."""

    def __init__(self, folder, hosts, slots, used=None):
        super().__init__(folder, slots * len(used or hosts.hosts))
        self.hosts = hosts
        at = self.command.index(LOCKSTEP)
        self.command[at:at] = hosts.mpirun_options(slots, used)

    def start(self, stderr=None):
        with self.said.open("w") as said:
            self.process = subprocess.Popen(self.hosts.first.command(self.command), stdout=subprocess.DEVNULL,
                                            stderr=said, env=self.hosts.environment())

    def processes(self):
        """With launchers, daemons, and what watches over them."""
        ranks = super().processes()
        return {pid: ranks.get(pid) for host in self.hosts for pid in host.processes()}


class LaunchedJob(Job):
    """By launch.sh, once: that knows comm.timeout_s, from which it follows how long hosts may take to come up."""

    def __init__(self, folder, hosts, slots):
        super().__init__(folder, hosts, slots)
        self.command = [LAUNCH, *self.command[1:3], "--restarts", "0", *self.command[3:]]


def link_cut(job, dice):
    dice.choice(list(job.hosts)).set_link("down")
    return 1


def kill_named(host, name):
    for pid in host.processes():
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            os.kill(pid, signal.SIGKILL)
            return 1
    return None


def daemon_killed(job, _dice):
    return kill_named(job.hosts.second, "orted")


def mpirun_killed(job, _dice):
    return kill_named(job.hosts.first, "mpirun")


def worker_stopped(job, dice):
    """On the host that mpirun is not on."""
    ranks = job.ranks()
    there = [rank for rank, pid in ranks.items() if pid in job.hosts.second.processes()]
    victim = dice.choice(there) if there else None
    if victim is not None:
        os.kill(ranks[victim], signal.SIGSTOP)
    return victim


def as_daemons_start(job, dice):
    """From when the far daemon's shell is there to about when it has reported to mpirun."""
    until(lambda: job.over() or job.hosts.second.processes(), 60, pause=0.001)
    time.sleep(dice.uniform(0, 0.15))


MOMENTS = [in_a_step, after_a_step, while_saving]
DRILLS = [
    Drill("link_cut", link_cut, r"(nothing|no word) from [^;]*rank \d on host-|lost communication", MOMENTS),
    Drill("daemon_killed", daemon_killed, r"daemon|nothing from [^;]*rank \d on host-2", MOMENTS),
    Drill("far_mpirun_killed", mpirun_killed, "", MOMENTS),
    Drill("far_worker_stopped", worker_stopped, r"(nothing|no word) from [^;]*rank {rank}\b", MOMENTS),
]


def main():
    options = breaking.arguments(__doc__)
    if reason := missing():
        print_table([("two hosts", 0, f"skipped: {reason}")])
        return

    def once(drill, far_only=False):
        def with_hosts(dice):
            with TwoHosts() as hosts:
                used = [hosts.second] if far_only else None
                return breaking.trial(drill, dice, lambda folder: Job(folder, hosts, dice.choice([1, 2]), used))
        return with_hosts

    def while_starting(dice):
        with TwoHosts() as hosts:
            return breaking.trial(at_start, dice, lambda folder: LaunchedJob(folder, hosts, 1))

    jobs = {drill.name: once(drill) for drill in DRILLS}
    at_start = Drill("link_cut_while_starting", link_cut, "", [as_daemons_start])
    no_message = Drill("link_cut_no_worker_near", link_cut, "", MOMENTS)
    breaking.main(options, {**jobs, at_start.name: while_starting, no_message.name: once(no_message, far_only=True)})


if __name__ == "__main__":
    main()

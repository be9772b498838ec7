#!/usr/bin/env python3
"""Kills, stops and starves workers at random moments of a run: nothing may hang, and nothing may be lost.

    tests/drills/hangs.py [--trials N] [--seed N] [--drill NAME]...

After each trial the job must be gone within comm.timeout_s + 10 s with an exit code that is not 0, leave no process
behind, say what it should where somebody lived long enough to say it, and its newest checkpoint must be whole. In the
end the shared memory and the session folders of all these dead jobs must be swept by the next start.

Prints a table at the end. Exit code 1 if a trial went wrong. LOCKSTEP names the binary.
"""

import contextlib
import fcntl
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import breaking
from breaking import GONE_AFTER, LAUNCH, MPIRUN, Drill, Job, Seen, after_a_step, expect, in_a_step, until, while_saving

PEER = 4

# What goes wrong: each answers the rank that it befell, or None.


def gets_on(job):
    """Whether it still logs steps, some seconds later."""
    until(job.over, 5)
    seen = len(job.logged())
    return not job.over() and until(lambda: job.over() or len(job.logged()) > seen, 3) and not job.over()


def send(job, dice, sig):
    ranks = job.ranks()
    if len(ranks) < job.workers:
        return None
    victim = dice.randrange(job.workers)
    with contextlib.suppress(ProcessLookupError):
        os.kill(ranks[victim], sig)
        return victim
    return None


def killed(job, dice):
    return send(job, dice, signal.SIGKILL)


def stopped(job, dice):
    return send(job, dice, signal.SIGSTOP)


def segfault(job, dice):
    return send(job, dice, signal.SIGSEGV)


def aborted(job, dice):
    return send(job, dice, signal.SIGABRT)


def out_of_memory(job, dice):
    """The address space of one rank may not grow any more. It may get on for long with memory that it has."""
    ranks = job.ranks()
    victim = dice.randrange(job.workers)
    if victim not in ranks:
        return None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(ranks[victim], resource.RLIMIT_AS, (1, 1))
        return None if gets_on(job) else victim
    return None


def mpirun_killed(job, _dice):
    launchers = [pid for pid, rank in job.processes().items() if rank is None]
    for pid in launchers:
        os.kill(pid, signal.SIGKILL)
    return 0 if launchers else None


# Said by a worker: mpirun's own words name a rank, but no phase, step or collective.
WAITED_FOR = r"step \d[^;]*\): (still waiting for|[^;]*nothing from) [^;]*rank {rank}\b"

DRILLS = [
    Drill("killed", killed, WAITED_FOR),
    Drill("stopped", stopped, rf"{WAITED_FOR}|no word from rank {{rank}}\b|no progress for"),
    Drill("segfault", segfault, WAITED_FOR),
    Drill("aborted", aborted, WAITED_FOR),
    Drill("out_of_memory", out_of_memory, rf"memory|not finished after|no progress for|found something wrong|{WAITED_FOR}",
          [in_a_step, after_a_step, while_saving]),
    Drill("mpirun_killed", mpirun_killed),
]


def blocked_output(_dice):
    """Alone, with standard error a pipe that nobody empties: no deadline looks there, but the watchdog does."""
    with tempfile.TemporaryDirectory(prefix="lockstep_drill.") as folder:
        job = Job(folder, None)
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 512)
        os.set_blocking(writer, True)
        job.start(stderr=writer)
        start = time.monotonic()
        try:
            expect(until(job.over, 60 + GONE_AFTER), "a process whose output is blocked stays for ever")
            expect(job.process.returncode == PEER, f"exit code {job.process.returncode}")
            return Seen(PEER, time.monotonic() - start, "nobody spoke")
        finally:
            os.close(reader)
            os.close(writer)
            job.kill_all()


def leftovers():
    """Shared memory and session folders of Open MPI on this host that belong to nobody alive. Younger files may be of a
    job that is just starting, or that somebody else has just killed."""
    mapped = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped.update(re.findall(r"/dev/shm/vader_segment\S+", maps.read_text()))
    left = []
    for file in Path("/dev/shm").glob("vader_segment.*"):
        with contextlib.suppress(OSError):
            old = time.time() - file.stat().st_mtime > 10
            if old and file.owner() == current_user() and str(file) not in mapped:
                left.append(str(file))
    host = os.uname().nodename.partition(".")[0]
    folders = Path(os.environ.get("TMPDIR", "/tmp")).glob(f"ompi.{host}.{os.getuid()}/pid.*")
    return left + [str(folder) for folder in folders if not Path("/proc", folder.name.removeprefix("pid.")).exists()]


def current_user():
    return Path("/proc/self").owner()


def judge_sweep():
    """What jobs left, one that lost its mpirun among them, is gone after the next start ten seconds later."""
    with tempfile.TemporaryDirectory(prefix="lockstep_drill.") as folder:
        job = Job(folder, 2)
        job.start()
        until(lambda: job.over() or job.logged(), 60)
        mpirun_killed(job, None)
        until(lambda: not job.processes(), GONE_AFTER)
        job.kill_all()
    time.sleep(11)
    before = leftovers()
    expect(before, "a job whose mpirun was killed left nothing: the drill is blind")
    subprocess.run([MPIRUN, "-n", "1", "true"], check=True)
    left = set(before) & set(leftovers())
    expect(not left, f"not swept: {sorted(left)}")
    return f"{len(before)} files and folders of dead jobs, all swept by the next start"


def main():
    options = breaking.arguments(__doc__)

    def once(drill, **how):
        return lambda dice: breaking.trial(drill, dice, lambda folder: Job(folder, dice.choice([2, 3, 8]), **how))

    jobs = {drill.name: once(drill) for drill in DRILLS}
    # In the way that documents recommend, but for going on afterwards.
    for drill in DRILLS:
        if drill.break_it in [killed, stopped, segfault]:
            jobs[f"launched_{drill.name}"] = once(drill, launcher=LAUNCH, options=["--restarts", "0"])
    breaking.main(options, {**jobs, "blocked_output": blocked_output}, ("sweep", judge_sweep))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Kills, stops and starves workers at random moments of a run: nothing may hang, and nothing may be lost.

    tests/drills/hangs.py [--trials N] [--seed N] [--drill NAME]...

After each trial the job must be gone within comm.timeout_s + 10 s with an exit code that is not 0, leave no process
behind, say what it should where somebody lived long enough to say it, and its newest checkpoint must be whole. In the
end the shared memory and the session folders of all these dead jobs must be swept by the next start.

Prints a table at the end. Exit code 1 if a trial went wrong. LOCKSTEP names the binary.
"""

import argparse
import collections
import contextlib
import dataclasses
import fcntl
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "binary"))
from binary import LOCKSTEP, MPIRUN, Failure, expect, run

TIMEOUT = 2  # comm.timeout_s
GONE_AFTER = TIMEOUT + 10
PEER = 4

CONFIG = f"""\
run_dir: {{room}}/run
model: {{{{name: cnn}}}}
batch: {{{{global: 64, shards: 4}}}}
data: {{{{dataset: synthetic, synthetic: {{{{samples: 2000, test_samples: 512}}}}}}}}
schedule: {{{{steps: 100000, decay: constant}}}}
evaluation: {{{{every_steps: 4, batch: 64}}}}
checkpoint: {{{{every_steps: 3}}}}
train: {{{{log_every: 1}}}}
comm: {{{{timeout_s: {TIMEOUT}}}}}
"""


def until(holds, seconds, pause=0.01):
    """Waits for `holds` to be true, and answers what it last was."""
    end = time.monotonic() + seconds
    while not (last := holds()) and time.monotonic() < end:
        time.sleep(pause)
    return last


class Job:
    """A training under mpirun, or alone where `workers` is None, whose processes are known by its folder's name."""

    def __init__(self, folder, workers):
        self.folder = Path(folder)
        self.workers = workers
        self.checkpoints = self.folder / "run" / "checkpoints"
        self.metrics = self.folder / "run" / "metrics.jsonl"
        self.config = self.folder / "config.yaml"
        self.config.write_text(CONFIG.format(room=self.folder))
        self.said = self.folder / "said"
        launcher = [str(MPIRUN), "-n", str(workers)] if workers else []
        self.command = [*launcher, LOCKSTEP, "train", str(self.config)]

    def start(self, stderr=None):
        with self.said.open("w") as said:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=stderr or said,
                                            start_new_session=True)

    def processes(self):
        """Everything of this job that is alive: {pid: rank, or None for a launcher}."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.config).encode() not in (entry / "cmdline").read_bytes():
                    continue
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                rank = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", (entry / "environ").read_bytes())
                found[int(entry.name)] = int(rank[1]) if rank else None
        return found

    def ranks(self):
        return {rank: pid for pid, rank in self.processes().items() if rank is not None}

    def over(self):
        return self.process.poll() is not None

    def text(self):
        return self.said.read_text(errors="replace")

    def logged(self):
        with contextlib.suppress(OSError):
            return self.metrics.read_text()
        return ""

    def newest(self):
        return max(self.checkpoints.glob("step-*.safetensors"), default=None)

    def kill_all(self):
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


# Moments: each waits until the run is there.


def at_start(job, dice):
    until(lambda: job.over() or len(job.ranks()) == job.workers, 60)
    time.sleep(dice.uniform(0, 0.6))


def in_a_step(job, dice):
    until(lambda: job.over() or job.logged(), 60)
    time.sleep(dice.uniform(0, 1.5))


def after_a_step(job, dice):
    """At the latest while the run evaluates."""
    until(lambda: job.over() or job.logged(), 60)
    seen = job.logged().count("\n") + dice.randrange(6)
    until(lambda: job.over() or job.logged().count("\n") > seen, 30, pause=0.001)


def while_saving(job, _dice):
    """When a file appears beside the checkpoints that is none yet."""
    def temporary():
        with contextlib.suppress(OSError):
            return [name for name in os.listdir(job.checkpoints) if not re.fullmatch(r"step-.*safetensors|latest", name)]
    until(lambda: job.over() or temporary(), 60, pause=0.0005)


MOMENTS = [at_start, in_a_step, after_a_step, while_saving]

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


@dataclasses.dataclass
class Drill:
    name: str
    break_it: object
    # What must be said where the run was already under way: who is missing, or what befell it.
    says: str = ""
    moments: list = dataclasses.field(default_factory=lambda: MOMENTS)


DRILLS = [
    Drill("killed", killed, r"exited on signal 9|nothing from rank {rank}"),
    Drill("stopped", stopped, r"nothing from [^;]*rank {rank}\b|no word from rank {rank}\b|no progress for"),
    Drill("segfault", segfault, r"exited on signal 11|[Ss]egmentation|nothing from rank {rank}"),
    Drill("aborted", aborted, r"exited on signal 6|Aborted|nothing from rank {rank}"),
    Drill("out_of_memory", out_of_memory, r"memory|not finished after|no progress for|exited on signal|found something wrong",
          [in_a_step, after_a_step, while_saving]),
    Drill("mpirun_killed", mpirun_killed),
]


@dataclasses.dataclass
class Seen:
    code: int
    seconds: float
    place: str


def place_of(text):
    """The phase that the first who spoke was in."""
    phase = re.search(r"\(\w+ #\d+, ([^)]*)\):|in phase '([^']*)'", text)
    name = (phase[1] or phase[2]) if phase else "nobody spoke"
    return re.sub(r"step \d+ ?", "step ", name).strip()


def judge(drill, job, victim):
    """After the fault: what was seen. Raises Failure where something must not be."""
    broken = time.monotonic()
    gone = until(lambda: job.over() and not job.processes(), GONE_AFTER, pause=0.05)
    seconds = time.monotonic() - broken
    text = job.text()
    expect(gone, f"after {GONE_AFTER} s still there: {job.processes()}\n{text}")
    code = job.process.returncode
    expect(code != 0, f"exit code 0\n{text}")
    under_way = bool(job.logged())
    if drill.says and under_way:
        expect(re.search(drill.says.format(rank=victim), text), f"rank {victim} is not named\n{text}")
    newest = job.newest()
    if newest:
        result = run("inspect", newest)
        expect(result.code == 0, f"the newest checkpoint does not load: {result.err}")
    return Seen(code, seconds, place_of(text))


def trial(drill, dice):
    """One run that is broken; None where it was over before that."""
    with tempfile.TemporaryDirectory(prefix="lockstep_drill.") as folder:
        job = Job(folder, dice.choice([2, 3]))
        job.start()
        try:
            dice.choice(drill.moments)(job, dice)
            victim = None if job.over() else drill.break_it(job, dice)
            return None if victim is None else judge(drill, job, victim)
        finally:
            job.kill_all()


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
    """Shared memory and session folders of Open MPI that belong to nobody alive. Younger files may be of a job that is
    just starting, or that somebody else has just killed."""
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
    folders = Path(os.environ.get("TMPDIR", "/tmp")).glob(f"ompi.*.{os.getuid()}/pid.*")
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


def again(once, dice):
    """Until the fault came before the end of the run."""
    for _ in range(5):
        if seen := once(dice):
            return seen
    raise Failure("the run ended by itself before anything went wrong, five times")


def plan(trials, names):
    """As often as asked for, all drills in turn."""
    drills = {drill.name: (lambda dice, drill=drill: trial(drill, dice)) for drill in DRILLS}
    drills["blocked_output"] = blocked_output
    chosen = {name: drills[name] for name in names or drills}
    return [list(chosen.items())[index % len(chosen)] for index in range(trials)]


def counted(values):
    """"a (3), b (1)", the most frequent first."""
    return ", ".join(f"{value} ({count})" for value, count in collections.Counter(values).most_common())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--drill", action="append", help="only this one; may be given several times")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"{options.trials} trials, --seed {options.seed}", flush=True)

    seen = collections.defaultdict(list)
    failures = collections.Counter()
    for number, (name, once) in enumerate(plan(options.trials, options.drill)):
        try:
            result = again(once, dice)
            seen[name].append(result)
            print(f"ok      {number + 1:3} {name}: code {result.code} after {result.seconds:.1f} s, {result.place}",
                  flush=True)
        except Failure as failure:
            failures[name] += 1
            print(f"FAILED  {number + 1:3} {name}: {failure}", flush=True)
    try:
        swept = judge_sweep()
    except Failure as failure:
        failures["sweep"] += 1
        swept = str(failure)

    print("\n| drill | trials | what was seen |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in plan(options.trials, options.drill)):
        results = seen[name]
        slowest = max((result.seconds for result in results), default=0)
        wrong = f"FAILED ({failures[name]}); " if failures[name] else ""
        print(f"| {name} | {len(results) + failures[name]} | {wrong}all gone after {slowest:.1f} s at most; "
              f"exit codes {counted(result.code for result in results)}; "
              f"in {counted(result.place for result in results)} |")
    print(f"| sweep | 1 | {swept} |")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
